"""Chat templates: as transformers renders them, and hostile ones within bounds."""

from __future__ import annotations

import contextlib

import pytest

from maas.errors import DataError, FormatError
from maas.preprocess import Language
from maas.preprocess._chat_template import ChatTemplate

TALK = [("system", 'Be "brief" & <kind>.'), ("user", "Hi, 你好\nthere"), ("assistant", "Yes?"), ("user", " x ")]
TEMPLATES = {
    "chatml": "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0].content"
    " %}{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for message in rest %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}{% if loop.index0 == 0 and system %}{% set content = '<<SYS>>\n' ~ system ~ '\n<</SYS>>\n' ~ "
    "message.content %}{% else %}{% set content = message.content %}{% endif %}{% if message.role == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}"
    "{{ ' ' + content | trim + ' ' + eos_token }}{% endif %}{% endfor %}",
    "blocks": """{%- set state = namespace(count=0, last=none) %}
{%- macro shown(message, number) %}
    {%- generation %}{{ number }}: {{ message | tojson }}{% endgeneration %}
{%- endmacro %}
{%- for message in messages if message.role != "system" %}
    {%- if loop.index > 3 %}{% break %}{% endif %}
    {%- set state.count = state.count + 1 %}
    {{- shown(message, state.count) }}{{ "," if not loop.last }}
    {%- set state.last = message.content.split("\\n") | map("upper") | list %}
{%- endfor %}
{%- if tools is not none %}no{% endif %}{% if documents %}no{% endif %}
{{ state.last | tojson(indent=2) }} {{ messages | length }} {{ "%s-%03d" % ("a", 7) }} {{ "{:>5}".format("b") }}
{{- range(3) | join("/") }} {{ messages | map(attribute="role") | unique | list }} {{ [1, (2, 3)] + [{"a": 4}] }}
{{ messages[-1].content.replace("x", "y") | indent(2) }} {{ loop is defined }} {{ 7 // 2 * 2 ** 3 }}""",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_render_as_transformers_renders_them(name: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    special = {"bos_token": "<s>", "eos_token": "</s>"}
    listed = [{"role": role, "content": content} for role, content in TALK]
    expected, _ = render_jinja_template([listed], chat_template=TEMPLATES[name], add_generation_prompt=True, **special)
    assert ChatTemplate(TEMPLATES[name], special).render(TALK) == expected[0]


def test_a_template_that_knows_the_date() -> None:
    assert len(ChatTemplate("{{ strftime_now('%Y-%m-%d') }}", {}).render(TALK)) == 10


def test_what_a_template_refuses_is_told_in_its_words() -> None:
    with pytest.raises(DataError, match="takes no such conversation: roles must alternate"):
        ChatTemplate(TEMPLATES["llama2"], {"bos_token": "", "eos_token": ""}).render([("assistant", "x")])


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(10 ** 9) %}{% endfor %}",  # the sandbox's own limit
        "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}",
        "{% set r = range(90000) %}{% for i in r %}{% for j in r %}{% if j > 5 %}{% endif %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ 10 ** (10 ** 9) }}",
        "{{ [0] * 10 ** 9 }}",
        "{{ 'a'.center(10 ** 9) }}",
        "{{ 'a' | center(10 ** 9) }}",
        "{{ 'a' | indent(10 ** 9) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ lipsum(n=10 ** 6) }}",
        "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
        "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = {1: n.x, 2: n.x} %}{% endfor %}",
        "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x.replace('a', n.x * 9) %}{% endfor %}",
        "{% for i in range(90000) %}{{ 'a' * 9000 }}{% endfor %}",
    ],
)
def test_a_hostile_template_is_refused_before_it_serves(template: str) -> None:
    with pytest.raises((FormatError, DataError)):
        ChatTemplate(template, {}).render(TALK)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{% set n = namespace(__class__=1) %}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__globals__ }}",
        "{{ ''.format.__self__.__class__ }}",
        "{{ '{0.__class__.__mro__}'.format(messages) }}",
        "{{ messages.append(1) }}",
        "{{ self.__init__.__globals__ }}",
    ],
)
def test_a_template_does_not_leave_its_sandbox(template: str) -> None:
    shown = ""
    with contextlib.suppress(DataError):
        shown = ChatTemplate(template, {}).render(TALK)
    assert shown == ""  # what it must not see is undefined


def test_a_template_that_takes_too_much_for_some_messages_only_refuses_those() -> None:
    source = (
        "{% for i in range(messages[0].content | length * 100) %}{% for j in range(9000) %}{% endfor %}{% endfor %}ok"
    )
    template = ChatTemplate("{% if messages[0].role == 'user' %}ok{% else %}" + source + "{% endif %}", {})
    with pytest.raises(DataError, match="more than 250,000 steps"):
        template.render([("system", "xx")])
    assert template.render([("user", "xx")]) == "ok"


def test_a_template_that_is_none() -> None:
    with pytest.raises(FormatError, match="the chat template cannot be read"):
        ChatTemplate("{% for %}", {})


def test_a_language_without_a_template_takes_no_conversation() -> None:
    with pytest.raises(DataError, match="takes no `messages`, give a `prompt`"):
        Language.learn(["abc"], vocabulary=257).chat(TALK)

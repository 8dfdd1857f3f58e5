"""Words to numbers, by a vocabulary learned on training texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maas.errors import DataError, FormatError, show
from maas.preprocess._words import LEVELS, LONGEST_WORD

PADDING, UNKNOWN = 0, 1
_FIRST = 2  # the number of the first token
NGRAM_LEVELS = ("word", "char", "jieba")
MOST_ORDERS = 7  # of n-grams: from 2 to 8 tokens
_FEWEST = 2  # times that a token must stand in training, so that the unknown token is learned from the others
_UNKNOWN_NAME = " unknown"  # no word holds a space
_MOST_TOKENS = 1 << 20
_LONGEST_TOKEN = LONGEST_WORD + 2  # "##" may stand before it


class Tokenizer:
    """Numbers of words: 0 pads, 1 is unknown, from 2 on the tokens, after them the n-grams.

    Args:
        level: "word", "char", "jieba", "bpe" (Sennrich et al. 2016) or "wordpiece" (Wu et al. 2016).
        tokens: different texts, in the order of their numbers.
        ngrams: runs of two, of three, ... tokens, each in the order of their numbers; for "char" written together, for
            "word" and "jieba" with a space between, for no other.
        merges: for "bpe" only, pairs of tokens in the order in which they are joined.

    Raises:
        FormatError: no training gives these.
    """

    def __init__(
        self,
        level: str,
        tokens: Sequence[str],
        ngrams: Sequence[Sequence[str]] = (),
        merges: Sequence[tuple[str, str]] = (),
    ) -> None:
        _check(level, tokens, ngrams, merges)
        self.level = level
        self.tokens, self.ngrams, self.merges = tuple(tokens), tuple(map(tuple, ngrams)), tuple(merges)
        self._numbers = {token: number for number, token in enumerate(tokens, _FIRST)}
        listed = (run for runs in self.ngrams for run in runs)  # no two alike: their numbers of tokens differ
        self._runs = {run: number for number, run in enumerate(listed, _FIRST + len(tokens))}
        self._pieces = _subwords(level, self._numbers, self.merges)

    @classmethod
    def learn(
        cls, level: str, texts: Iterable[Sequence[str]], *, vocabulary: int, ngrams: Sequence[int] = ()
    ) -> Tokenizer:
        """The commonest tokens of training texts that stand there twice at least; of equals the first by alphabet.

        Args:
            level: as above.
            texts: each as its words, of `split_words`.
            vocabulary: how many tokens at most, the padding and the unknown token among them.
            ngrams: how many runs of two, of three, ... neighbouring tokens at most.

        Raises:
            DataError: no token stands twice in the texts.
        """
        listed = [list(words) for words in texts]
        counts = Counter(word for words in listed for word in words)
        merges: list[tuple[str, str]] = []
        if level in ("bpe", "wordpiece"):
            tokens, merges = _learn_subwords(level, listed, counts, vocabulary - _FIRST)
        else:
            tokens = _commonest(counts, vocabulary - _FIRST)
        if not tokens:
            raise DataError(
                f"no {level} stands twice in the {len(listed)} training texts, so there is nothing to learn from; give "
                f"more texts, or shorter tokens with Text.with_options(tokenizer='char')"
            )
        runs = []
        for length, most in enumerate(ngrams, 2):
            runs.append(_commonest(Counter(run for words in listed for run in _runs(level, words, length)), most))
        return cls(level, tokens, runs, merges)

    def __len__(self) -> int:
        """How many numbers there are, padding and unknown among them."""
        return _FIRST + len(self.tokens) + len(self._runs)

    def numbers(self, words: Sequence[str], most: int, known: dict[str, list[int]]) -> list[int]:
        """The numbers of a text's words, `most` at most.

        Args:
            known: what words were found to be; grows. It lives as long as the caller wants.
        """
        if self._pieces is None:
            return [self._numbers.get(word, UNKNOWN) for word in words[:most]]
        found: list[int] = []
        for word in words:
            if word not in known:
                known[word] = [piece.id for piece in self._pieces.tokenize(word)]
            found += known[word]
            if len(found) >= most:
                break
        return found[:most]

    def lengths(self, word: str, known: dict[str, list[int]]) -> list[int]:
        """How many characters of a word each of its tokens is; an unknown one is all that is left of it."""
        numbers = self.numbers([word], len(word), known)
        found: list[int] = []
        for place, number in enumerate(numbers, 1):
            left = len(word) - sum(found)
            is_last = place == len(numbers)
            size = 1 if number == UNKNOWN else len(self.tokens[number - _FIRST].removeprefix("##"))
            found.append(left if is_last else min(size, left))
        return found

    def runs(self, words: Sequence[str]) -> list[list[int]]:
        """For each order the numbers of the runs that begin at each word; 0, which adds nothing, where none does."""
        found = []
        for length in range(2, 2 + len(self.ngrams)):
            numbers = [self._runs.get(run, PADDING) for run in _runs(self.level, words, length)]
            found.append(numbers + [PADDING] * (len(words) - len(numbers)))
        return found

    def state(self) -> dict[str, Any]:
        return {
            "tokens": list(self.tokens),
            "ngrams": [list(runs) for runs in self.ngrams],
            "merges": [list(merge) for merge in self.merges],
        }

    @classmethod
    def from_state(cls, level: str, state: Mapping[str, Any]) -> Tokenizer:
        for name in ("tokens", "ngrams", "merges"):
            if type(state[name]) is not list:
                raise FormatError(f"a tokenizer's {name} must be a list, got {show(state[name])}")
        if not all(type(merge) is list and len(merge) == 2 for merge in state["merges"]):
            raise FormatError("a tokenizer's merges must be pairs of tokens")
        if not all(type(runs) is list for runs in state["ngrams"]):
            raise FormatError("a tokenizer's ngrams must be a list for each length")
        return cls(level, state["tokens"], state["ngrams"], [(merge[0], merge[1]) for merge in state["merges"]])


def _runs(level: str, words: Sequence[str], length: int) -> list[str]:
    """The runs of so many neighbouring words, as one text each, by where they begin."""
    between = "" if level == "char" else " "  # no word holds a space, and all characters are of one length
    return [between.join(words[at : at + length]) for at in range(len(words) - length + 1)]


def _commonest(counts: Mapping[str, int], most: int) -> list[str]:
    kept = [(-count, token) for token, count in counts.items() if count >= _FEWEST]
    return [token for _, token in sorted(kept)[:most]]


def _learn_subwords(
    level: str, texts: Sequence[Sequence[str]], counts: Mapping[str, int], size: int
) -> tuple[list[str], list[tuple[str, str]]]:
    """Tokens and merges by the library's trainer for byte pairs.

    The alphabet is ours, for where the trainer cuts it, equally common characters go by the order of a hash. The
    library's trainer for word pieces numbers "##x" by that order too, and another run gives another vocabulary (seen
    with 0.23); so pieces are those of byte pairs, the commonest first, told apart by where in a word they stand.
    """
    library = _library()
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    alphabet = _commonest(characters, max(1, size // 2))
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=_FEWEST,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    whole = library.Tokenizer(library.models.BPE())
    whole.train_from_iterator(texts, trainer)
    learned = json.loads(whole.to_str())["model"]
    tokens = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    if level == "bpe" or not tokens:
        return tokens, [(one, two) for one, two in learned["merges"]]
    pieces: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    for word, count in counts.items():
        for place, piece in enumerate(whole.model.tokenize(word)):
            pieces["##" * (place > 0) + piece.value] += count
        for place, character in enumerate(word):
            letters["##" * (place > 0) + character] += count
    first = _commonest(letters, max(1, size // 2))  # so that few words have no pieces
    known = set(first)
    return (first + [piece for piece in _commonest(pieces, size) if piece not in known])[:size], []


def _subwords(level: str, numbers: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Any:
    """The library's model that cuts a word into tokens; None where words are tokens."""
    if level not in ("bpe", "wordpiece"):
        return None
    models = _library().models
    vocabulary = {**numbers, _UNKNOWN_NAME: UNKNOWN}
    if level == "bpe":
        return models.BPE(vocabulary, list(merges), unk_token=_UNKNOWN_NAME)
    return models.WordPiece(vocabulary, unk_token=_UNKNOWN_NAME, max_input_chars_per_word=LONGEST_WORD)


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise DataError("the tokenizers 'bpe' and 'wordpiece' need: pip install 'maas-torch[text]'") from error
    return tokenizers


def _check(
    level: str, tokens: Sequence[Any], ngrams: Sequence[Sequence[Any]], merges: Sequence[tuple[Any, Any]]
) -> None:
    """All that the library takes for granted, so that nothing of it can fail later."""
    if level not in LEVELS:
        raise FormatError(f"a tokenizer is one of {', '.join(LEVELS)}, got {show(level)}")
    if len(ngrams) > MOST_ORDERS:
        raise FormatError(f"a tokenizer has n-grams of {MOST_ORDERS} lengths at most, got {len(ngrams)}")
    for length, values in enumerate((tokens, *ngrams), 1):
        name, longest = "n-grams" if length > 1 else "tokens", (_LONGEST_TOKEN + 1) * length - 1
        if len(values) > _MOST_TOKENS:
            raise FormatError(f"a tokenizer has at most {_MOST_TOKENS} {name}, got {len(values)}")
        if not all(type(value) is str and 0 < len(value) <= longest for value in values):
            raise FormatError(f"a tokenizer's {name} must be strings of 1 to {longest} characters")
        if len(set(values)) != len(values):
            raise FormatError(f"a tokenizer's {name} must differ")
        try:
            "".join(values).encode()
        except UnicodeEncodeError as error:
            raise FormatError(f"a tokenizer's {name} must be texts, got a lone surrogate") from error
    if not tokens:
        raise FormatError("a tokenizer needs at least one token")
    if level != "char" and any(" " in token for token in tokens):
        raise FormatError("a token holds no space")
    if ngrams and level not in NGRAM_LEVELS:
        raise FormatError(f"a {level} tokenizer has no n-grams")
    for length, runs in enumerate(ngrams, 2):
        for run in runs:
            parts = list(run) if level == "char" else run.split(" ")
            if len(parts) != length or not all(parts):
                raise FormatError(f"the n-grams of a {level} tokenizer must be {length} tokens each, got {show(run)}")
    known = set(tokens)
    if merges and level != "bpe":
        raise FormatError(f"a {level} tokenizer has no merges")
    for one, two in merges:
        if type(one) is not str or type(two) is not str or not {one, two, one + two} <= known:
            raise FormatError("a merge must join two tokens to a third")

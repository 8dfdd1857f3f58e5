"""The TorchServe handler of maas artifacts that generate text, in place of maas_handler.py.

It holds no logic of its own: `maas.serving.GenerateHandler` does the work. model-config.yaml must say
`continuousBatching: true`: then TorchServe calls `handle` once for each token of all requests that are live. TorchServe
wants exactly one class here.
"""


class MaasGenerate:
    """What TorchServe calls: `initialize` once, `handle` for each step."""

    def initialize(self, context):
        # Imported here: TorchServe hides an ImportError that it meets while it imports this file.
        from maas.serving import GenerateHandler

        self._handler = GenerateHandler(context)

    def handle(self, data, context):
        return self._handler.handle(data, context)

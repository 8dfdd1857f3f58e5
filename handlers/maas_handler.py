"""The TorchServe handler of every maas artifact: `torch-model-archiver --handler handlers/maas_handler.py ...`.

It holds no logic of its own: `maas.serving.Handler` does the work, and the artifact says what differs from model to
model. TorchServe wants exactly one class here.
"""


class MaasHandler:
    """What TorchServe calls: `initialize` once, `handle` for each batch of requests."""

    def initialize(self, context):
        # Imported here: TorchServe hides an ImportError that it meets while it imports this file.
        from maas.serving import Handler

        self._handler = Handler(context)

    def handle(self, data, context):
        return self._handler.handle(data, context)

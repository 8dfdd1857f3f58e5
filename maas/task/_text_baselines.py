"""Texts as a linear model wants them: TF-IDF of what stands in them."""

from __future__ import annotations

import re
from typing import Any

from maas.schema import Columns, Schema

_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_SEEN = 1000  # training texts looked at to tell the script
_MOST_FEATURES = 500_000


def has_text(schema: Schema) -> bool:
    """Whether these rows are texts."""
    return all(field.kind == "text" for field in schema.fields)


def tfidf(schema: Schema, train: Columns, test: Columns) -> tuple[Any, Any]:
    """Sparse float matrices of training and test rows, learned on the first.

    Words and pairs of neighbouring words; where a tenth of the texts has Chinese characters, which stand without
    spaces, or no text has a word, characters and pairs of them.
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    sides: tuple[list[Any], list[Any]] = ([], [])
    for name in schema.names:
        texts = train[name].tolist()
        chinese = sum(_CHINESE.search(text) is not None for text in texts[:_SEEN])
        by = "char" if chinese > 0.1 * len(texts[:_SEEN]) else "word"
        vectorizer = TfidfVectorizer(analyzer=by, ngram_range=(1, 2), sublinear_tf=True, max_features=_MOST_FEATURES)
        try:
            sides[0].append(vectorizer.fit_transform(texts))
        except ValueError:  # there is no word of two letters
            vectorizer.set_params(analyzer="char")
            sides[0].append(vectorizer.fit_transform(texts))
        sides[1].append(vectorizer.transform(test[name].tolist()))
    return hstack(sides[0], "csr"), hstack(sides[1], "csr")

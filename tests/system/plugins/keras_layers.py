"""Layers of Keras, as somebody would write them."""

import keras
import tensorflow as tf
from keras import layers, ops

SOMETHING = tf.random.normal((2, 2)) @ tf.random.normal((2, 2))  # A file that computes when it is imported.


class SelfAttention(layers.Layer):
    """Right."""

    def __init__(self, d_model, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.depth = d_model // num_heads
        self.wq, self.wk, self.wv = (layers.Dense(d_model) for _ in range(3))
        self.dense = layers.Dense(d_model)

    def split(self, x):
        x = ops.reshape(x, (ops.shape(x)[0], -1, self.num_heads, self.depth))
        return ops.transpose(x, (0, 2, 1, 3))

    def scores(self, q, k):
        return ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / self.depth**0.5

    def call(self, x):
        q, k, v = self.split(self.wq(x)), self.split(self.wk(x)), self.split(self.wv(x))
        o = ops.matmul(ops.softmax(self.scores(q, k), axis=-1), v)
        o = ops.reshape(ops.transpose(o, (0, 2, 1, 3)), ops.shape(x))
        return self.dense(o)


class ScaledTwice(SelfAttention):
    """Wrong."""

    def scores(self, q, k):
        return super().scores(q, k) / self.depth**0.5


class Article(layers.Layer):
    """The layer of docs/lesson.md."""

    def __init__(self, d_model, num_heads, d_kv, **kwargs):
        super().__init__(**kwargs)
        self.d_model, self.num_heads, self.d_kv = d_model, num_heads, d_kv
        self.depth = d_model // num_heads
        self.Wq, self.Wk, self.Wv = (keras.layers.Dense(d_kv, use_bias=False) for _ in range(3))
        self.dense = keras.layers.Dense(d_model, use_bias=False)

    def call(self, v, k, q, mask=None):
        v, k, q = (tf.reshape(each, (-1, self.num_heads, self.depth)) for each in (v, k, q))
        scores = tf.matmul(q, k, transpose_b=True)
        if mask is not None:
            scores += mask * -1e9
        context = tf.matmul(tf.nn.softmax(scores, axis=-1), v)
        return self.dense(tf.reshape(context, (-1, self.d_model)))


class InShape(Article):
    """The same with its output in the shape of its input."""

    def call(self, v, k, q):
        return tf.reshape(super().call(v, k, q), tf.shape(q))


Theirs = keras.layers.MultiHeadAttention

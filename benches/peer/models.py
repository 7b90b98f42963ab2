"""The networks of `crates/train/examples/peer/designs.rs`, written for speed in PyTorch.

What belongs to an image (memory, keys, values) is computed once and never repeated for its references or hypotheses: rows
stand as `[images, rows of an image, ...]`, and attention multiplies all rows of an image with its memory at once.
"""

import torch
from torch import nn
from torch.nn import functional as F

VOCAB, POSITIONS = 2543, 21
BEGIN, END = 1, 2


class Bridge(nn.Module):
    def __init__(self, channels, dim):
        super().__init__()
        self.proj, self.norm = nn.Linear(channels, dim), nn.LayerNorm(dim)

    def forward(self, tokens):
        return self.norm(self.proj(tokens))


class Recurrent(nn.Module):
    """LSTM or GRU with additive attention; the context joins the input and the vocabulary layer."""

    def __init__(self, cell, dim=256, embed=256, hidden=512, vocab=VOCAB, dropout=0.3):
        super().__init__()
        self.embed = nn.Embedding(vocab, embed)
        self.init_h = nn.Linear(dim, hidden)
        self.init_c = nn.Linear(dim, hidden) if cell == "lstm" else None
        self.query, self.key, self.score = nn.Linear(hidden, dim), nn.Linear(dim, dim), nn.Linear(dim, 1, bias=False)
        self.cell = (nn.LSTMCell if cell == "lstm" else nn.GRUCell)(embed + dim, hidden)
        self.out = nn.Linear(hidden + dim, vocab)
        self.dropout = nn.Dropout(dropout)

    def start(self, memory, rows):
        """Keys and the states of `rows` equal rows an image."""
        mean = memory.mean(1)
        h = torch.tanh(self.init_h(mean)).repeat_interleave(rows, 0)
        c = None if self.init_c is None else torch.tanh(self.init_c(mean)).repeat_interleave(rows, 0)
        return self.key(memory), (h, c)

    def context(self, memory, keys, h):
        images, dim = len(memory), memory.shape[2]
        query = self.query(h).view(images, -1, 1, dim)
        weights = self.score(torch.tanh(keys.unsqueeze(1) + query)).squeeze(3).softmax(2)
        return torch.bmm(weights, memory).view(-1, dim)

    def step(self, memory, keys, state, embedded):
        h, c = state
        context = self.context(memory, keys, h)
        x = torch.cat([embedded, context], 1)
        h, c = (self.cell(x, h), None) if c is None else self.cell(x, (h, c))
        return torch.cat([h, context], 1), (h, c)

    def forward(self, memory, words):
        """What stands before the vocabulary layer for rows in the order of the images, `[rows, steps, hidden + dim]`."""
        keys, state = self.start(memory, len(words) // len(memory))
        embedded = self.dropout(self.embed(words)).unbind(1)
        outs = []
        for e in embedded:
            out, state = self.step(memory, keys, state, e)
            outs.append(out)
        return self.dropout(torch.stack(outs, 1))

    def alive(self, memory, words, alive, images):
        """The same for rows of any length, longest first, step by step: `alive[t]` rows take step `t`.

        Each row has a copy of its image's memory and keys: on captions of Flickr8k this took a fifth less time than rows
        in groups of five, padded to the longest.
        """
        keys, (h, c) = self.start(memory, 1)
        memory, keys, h, c = memory[images], keys[images], h[images], c[images]
        embedded, outs = self.dropout(self.embed(words)), []
        for t, n in enumerate(alive):
            out, (h, c) = self.step(memory[:n], keys[:n], (h[:n], c[:n]), embedded[:n, t])
            outs.append(out)
        return self.dropout(torch.cat(outs))


class Layer(nn.Module):
    """A pre-norm layer with dropout on each branch, and none on attention weights."""

    def __init__(self, dim, heads, ff, dropout):
        super().__init__()
        self.heads = heads
        self.qkv, self.o = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.cross_q, self.cross_kv, self.cross_o = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.ff1, self.ff2 = nn.Linear(dim, ff), nn.Linear(ff, dim)
        self.dropout = nn.Dropout(dropout)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def memory(self, memory):
        """Keys and values of the image, once for all its rows."""
        return [self.split(x) for x in self.cross_kv(memory).chunk(2, -1)]

    def cross(self, x, seen):
        """`x` is `[images, queries of all rows, dim]`."""
        y = F.scaled_dot_product_attention(self.split(self.cross_q(self.norm2(x))), *seen)
        return x + self.dropout(self.cross_o(y.transpose(1, 2).flatten(2)))

    def feed(self, x):
        return x + self.dropout(self.ff2(F.gelu(self.ff1(self.norm3(x)))))

    def forward(self, x, seen):
        rows, steps, dim = x.shape
        q, k, v = (self.split(y) for y in self.qkv(self.norm1(x)).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.o(y.transpose(1, 2).flatten(2)))
        x = self.cross(x.view(len(seen[0]), -1, dim), seen)
        return self.feed(x).view(rows, steps, dim)

    def one(self, x, seen, cache, t):
        """One word of each row: `x` is `[rows, dim]`; `cache` keeps keys and values, `[2, rows, heads, steps, width]`."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(1, (3, self.heads, 1, -1)).unbind(1)
        cache[0, :, :, t : t + 1], cache[1, :, :, t : t + 1] = k, v
        y = F.scaled_dot_product_attention(q, cache[0, :, :, : t + 1], cache[1, :, :, : t + 1])
        x = x + self.o(y.flatten(1))
        return self.feed(self.cross(x.view(len(seen[0]), -1, x.shape[1]), seen)).view(x.shape)


class Transformer(nn.Module):
    def __init__(self, dim=256, layers=2, heads=4, ff=1024, vocab=VOCAB, dropout=0.1):
        super().__init__()
        self.dim = dim
        self.embed, self.place = nn.Embedding(vocab, dim), nn.Embedding(POSITIONS, dim)
        self.layers = nn.ModuleList(Layer(dim, heads, ff, dropout) for _ in range(layers))
        self.norm, self.out = nn.LayerNorm(dim), nn.Linear(dim, vocab)
        self.dropout = nn.Dropout(dropout)

    def forward(self, memory, words):
        """What stands before the vocabulary layer for rows in the order of the images, `[rows, steps, dim]`."""
        x = self.dropout(self.embed(words) * self.dim**0.5 + self.place.weight[: words.shape[1]])
        for layer in self.layers:
            x = layer(x, layer.memory(memory))
        return self.norm(x)


def conv(inputs, out, kernel, stride, groups=1, act=True):
    parts = [nn.Conv2d(inputs, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*parts, *([nn.ReLU(inplace=True)] if act else []))


class Basic(nn.Module):
    """ResNet's basic block with stride 2."""

    def __init__(self, inputs, out):
        super().__init__()
        self.first, self.second = conv(inputs, out, 3, 2), conv(out, out, 3, 1, act=False)
        self.shortcut = conv(inputs, out, 1, 2, act=False)

    def forward(self, x):
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


def scratch(kind):
    stage = {
        "conv": lambda i, o: conv(i, o, 3, 2),
        "separable": lambda i, o: nn.Sequential(conv(i, i, 3, 2, groups=i), conv(i, o, 1, 1)),
        "basic": Basic,
    }[kind]
    return nn.Sequential(conv(3, 16, 3, 2), stage(16, 32), stage(32, 64), stage(64, 96))


class Captioner(nn.Module):
    """Tokens or pixels to what stands before the vocabulary layer."""

    def __init__(self, name, vocab=VOCAB):
        super().__init__()
        self.encoder = None if name in ("lstm", "gru", "transformer") else scratch(name)
        if self.encoder is not None:
            self.bridge, self.decoder = Bridge(96, 128), Recurrent("lstm", 128, 128, 256, vocab)
        else:
            self.bridge = Bridge(1280, 256)
            self.decoder = Transformer(vocab=vocab) if name == "transformer" else Recurrent(name, vocab=vocab)

    def memory(self, x):
        if self.encoder is not None:
            x = self.encoder(x).flatten(2).transpose(1, 2)
        return self.bridge(x)

    def loss(self, x, words, targets):
        """Mean loss a word, of captions of equal length."""
        logits = self.decoder.out(self.decoder(self.memory(x), words).flatten(0, 1))
        return F.cross_entropy(logits, targets.flatten(), label_smoothing=0.1)

"""Greedy and beam-search decoding of all images at once, without a loop over hypotheses."""

import torch

from models import BEGIN, END, Recurrent


class RecurrentState:
    """Keys and memory of each image; states of each row."""

    def __init__(self, decoder, memory, steps):
        self.decoder, self.memory = decoder, memory
        self.keys, self.state = decoder.start(memory, 1)

    def step(self, words, t):
        d = self.decoder
        out, self.state = d.step(self.memory, self.keys, self.state, d.embed(words))
        return d.out(out)

    def select(self, rows):
        self.state = tuple(None if s is None else s.index_select(0, rows) for s in self.state)


class TransformerState:
    """Projected memory of each image; keys and values of the words of each row."""

    def __init__(self, decoder, memory, steps):
        self.decoder = decoder
        self.seen = [layer.memory(memory) for layer in decoder.layers]
        heads = decoder.layers[0].heads
        shape = (len(decoder.layers), 2, len(memory), heads, steps, decoder.dim // heads)
        self.cache, self.t = torch.empty(shape), 0

    def step(self, words, t):
        d = self.decoder
        x, self.t = d.embed(words) * d.dim**0.5 + d.place.weight[t], t + 1
        for layer, seen, cache in zip(d.layers, self.seen, self.cache):
            x = layer.one(x, seen, cache, t)
        return d.out(d.norm(x))

    def select(self, rows):
        cache = self.cache.new_empty(*self.cache.shape[:2], len(rows), *self.cache.shape[3:])
        cache[..., : self.t, :] = self.cache[..., : self.t, :].index_select(2, rows)
        self.cache = cache


def start(decoder, memory, steps):
    return (RecurrentState if isinstance(decoder, Recurrent) else TransformerState)(decoder, memory, steps)


@torch.inference_mode()
def greedy(decoder, memory, least, most):
    state = start(decoder, memory, most)
    words, said = torch.full((len(memory),), BEGIN), []
    for t in range(most):
        logits = state.step(words, t)
        logits[:, [0, BEGIN, 3]] = -torch.inf
        if t < least:
            logits[:, END] = -torch.inf
        words = logits.argmax(1)
        said.append(words)
    return torch.stack(said, 1)


@torch.inference_mode()
def beam_search(decoder, memory, beam, least, most):
    """Best hypothesis of each image by mean log-probability; one that has said END goes on with padding at no cost."""
    images = len(memory)
    state = start(decoder, memory, most)
    words, said = torch.full((images,), BEGIN), torch.empty((images, 1, 0), dtype=torch.long)
    scores, done = torch.zeros(images, 1), torch.zeros(images, 1, dtype=torch.bool)
    first = torch.arange(images).unsqueeze(1)
    for t in range(most):
        log = state.step(words, t).log_softmax(1)
        log[:, [0, BEGIN, 3]] = -torch.inf
        if t < least:
            log[:, END] = -torch.inf
        else:
            log = torch.where(done.view(-1, 1), torch.where(torch.arange(log.shape[1]) == 0, 0.0, -torch.inf), log)
        vocab, rows = log.shape[1], scores.shape[1]
        scores, best = (log.view(images, rows, vocab) + scores.unsqueeze(2)).view(images, -1).topk(beam, 1)
        origin, words = best // vocab, best % vocab
        state.select((first * rows + origin).flatten())
        said = torch.cat([said.gather(1, origin.unsqueeze(2).expand(-1, -1, t)), words.unsqueeze(2)], 2)
        done = done.gather(1, origin) | (words == END)
        words = words.flatten()
    lengths = (said > 0).sum(2)
    return said[torch.arange(images), (scores / lengths).argmax(1)]

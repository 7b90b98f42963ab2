"""The same work as `step_speed` and `features_speed`, in PyTorch, for the ratios in docs/benchmarks.md.

    python benches/pytorch.py [THREADS]        # torch 2.x and torchvision, CPU

A step: 24 images of 49 tokens x 1280 channels, five references of 12 words each (13 predictions with END), bridge to 256,
embedding 256, one layer of 512, 2543 words, label smoothing 0.1, clipping, AdamW. What belongs to an image is computed once
for its five references, as in capwright.
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

IMAGES, REFS, WORDS, TOKENS, CHANNELS, DIM, EMBED, HIDDEN, VOCAB = 24, 5, 12, 49, 1280, 256, 256, 512, 2543


class AttentionLstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.bridge = nn.Sequential(nn.Linear(CHANNELS, DIM), nn.LayerNorm(DIM))
        self.embed = nn.Embedding(VOCAB, EMBED)
        self.init_h, self.init_c = nn.Linear(DIM, HIDDEN), nn.Linear(DIM, HIDDEN)
        self.query, self.key, self.score = nn.Linear(HIDDEN, DIM), nn.Linear(DIM, DIM), nn.Linear(DIM, 1, bias=False)
        self.cell = nn.LSTMCell(EMBED + DIM, HIDDEN)
        self.out = nn.Linear(HIDDEN + DIM, VOCAB)
        self.dropout = nn.Dropout(0.3)

    def forward(self, tokens, words):
        memory = self.bridge(tokens)
        keys = self.key(memory).repeat_interleave(REFS, 0)
        mean = memory.mean(1).repeat_interleave(REFS, 0)
        memory = memory.repeat_interleave(REFS, 0)
        h, c = torch.tanh(self.init_h(mean)), torch.tanh(self.init_c(mean))
        embedded = self.dropout(self.embed(words))
        outs = []
        for t in range(words.shape[1]):
            weights = self.score(torch.tanh(keys + self.query(h).unsqueeze(1))).softmax(1)
            context = (weights * memory).sum(1)
            h, c = self.cell(torch.cat([embedded[:, t], context], 1), (h, c))
            outs.append(torch.cat([h, context], 1))
        return self.out(self.dropout(torch.stack(outs, 1)))


class SmallTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.bridge = nn.Sequential(nn.Linear(CHANNELS, DIM), nn.LayerNorm(DIM))
        self.embed, self.place = nn.Embedding(VOCAB, DIM), nn.Embedding(21, DIM)
        layer = nn.TransformerDecoderLayer(DIM, 4, 1024, 0.1, "gelu", batch_first=True, norm_first=True)
        self.layers, self.out = nn.TransformerDecoder(layer, 2, nn.LayerNorm(DIM)), nn.Linear(DIM, VOCAB)

    def forward(self, tokens, words):
        memory = self.bridge(tokens).repeat_interleave(REFS, 0)
        x = self.embed(words) + self.place(torch.arange(words.shape[1]))
        mask = nn.Transformer.generate_square_subsequent_mask(words.shape[1])
        return self.out(self.layers(x, memory, tgt_mask=mask, tgt_is_causal=True))


def step_time(model, rounds=12):
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    tokens = torch.randn(IMAGES, TOKENS, CHANNELS)
    words = torch.randint(4, VOCAB, (IMAGES * REFS, WORDS + 1))
    targets = torch.randint(4, VOCAB, (IMAGES * REFS, WORDS + 1))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        loss = F.cross_entropy(model(tokens, words).flatten(0, 1), targets.flatten(), label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def features_time(batch, rounds=6):
    from torchvision.models import mobilenet_v2

    net = mobilenet_v2(weights=None).features.eval()
    images = torch.randn(batch, 3, 224, 224)
    times = []
    with torch.inference_mode():
        for _ in range(rounds):
            start = time.perf_counter()
            net(images)
            times.append((time.perf_counter() - start) / batch)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    torch.manual_seed(0)
    for name, model in [("lstm additive", AttentionLstm()), ("transformer 2 layers", SmallTransformer())]:
        print(f"{name}: {1e3 * step_time(model):.0f} ms a step")
    for batch in (1, 16):
        print(f"mobilenet_v2 features, batch {batch}: {1.0 / features_time(batch):.1f} images/s")

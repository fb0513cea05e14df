"""Speed of training: our learner with its defaults, transformers' Trainer with its defaults and its best setting, and
a plain loop on batches that are ready made. Real (unpadded) tokens per second, interleaved, medians of rounds. On a
CPU our learner trains without dropout of attention weights; so does the plain loop, and Trainer's best setting is
shown with and without it. A second table trains the head alone for several epochs.

    python -m benchmarks.training [--max_length 128 256] [--rows 1024] [--rounds 3] [--model packaged|bert-base]
                                  [--frozen_epochs 3]
"""
import argparse,ctypes,gc,tempfile,time,warnings

import torch
from datasets import Dataset
from fastai.callback.core import Callback
from fastai.torch_core import set_seed
from torch.nn import functional as F
from transformers import (AutoTokenizer,BertConfig,DataCollatorWithPadding,PrinterCallback,
                          Trainer,TrainerCallback,TrainingArguments)

from benchmarks.common import *
from toxicai.all import *
from toxicai.train.callbacks import best_precision

BS = 32

# The same texts and the same network for everybody

def sample(
    n:int, # Rows for training
    seed:int, # Of the sample
) -> pd.DataFrame: # Columns `text`, `label`
    "Jigsaw comments whose `toxic` is known: median 60 tokens, and a long tail"
    n = n//BS*BS+BS # full batches, so that everybody trains on all of them, and one for validation
    df = data_file('jigsaw_train_part')[['comment_text','toxic']].dropna().sample(n, random_state=seed)
    return pd.DataFrame({'text':df.comment_text.to_numpy(), 'label':df.toxic.astype(int).to_numpy()})

def network(
    kind:str, # 'packaged' or 'bert-base'
    attn_dropout:float=0.1, # Dropout of attention weights; 0.1 is what both come with
) -> torch.nn.Module: # Two classes; on the GPU where there is one
    "The packaged encoder, or a BERT-base with random weights"
    if kind=='packaged': model = load_transformer(packaged_encoder(), ['no','yes'], attn_dropout=attn_dropout)
    else:
        config = BertConfig(num_labels=2, attention_probs_dropout_prob=attn_dropout)
        model = transformers.BertForSequenceClassification(config)
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').train()

# The contestants: each trains one epoch and returns seconds

class _Clock(Callback):
    "Seconds of the training parts of the epochs, without validation"
    order = -100
    def before_fit(self): self.seconds = 0.
    def before_train(self): self.start = _now()
    def after_train(self): self.seconds += _now()-self.start

def _now():
    if torch.cuda.is_available(): torch.cuda.synchronize()
    return time.perf_counter()

def own_dropout(learn): return learn.model.config.attention_probs_dropout_prob

def ours(df, max_length, kind, frozen=False, epochs=1):
    "Our learner with its defaults"
    def _last_batch(o): return range(len(o)-BS),range(len(o)-BS, len(o))
    # two classes, as Trainer has them; a column of 0 and 1 alone is a flag
    two = dict(vocab=['0','1'], splitter=_last_batch)
    dls = ToxicityDataLoaders.from_df(df, packaged_encoder(), max_length=max_length, bs=BS, **two)
    learn,clock = toxicity_learner(dls),_Clock()
    if kind!='packaged': learn.model = network(kind, own_dropout(learn))
    if frozen: learn.freeze()
    def _run():
        with learn.no_bar(),learn.no_logging(): learn.fit(epochs, 1e-4, cbs=clock)
        if not frozen: learn.opt = None
        return clock.seconds
    return _run,learn

def _tokens(dl):
    "Real and padded tokens of one epoch of `dl`"
    masks = [b[0][:, -1] for b in dl]
    return sum(int(o.sum()) for o in masks),sum(o.numel() for o in masks)

class _TrainerClock(TrainerCallback):
    def on_train_begin(self, *args, **kwargs): self.seconds = 0.
    def on_epoch_begin(self, *args, **kwargs): self.start = _now()
    def on_epoch_end(self, *args, **kwargs): self.seconds += _now()-self.start

def trainer(df, max_length, kind, frozen=False, epochs=1, attn_dropout=0.1, **settings):
    "transformers' Trainer on texts that are tokenised beforehand"
    tok,clock = AutoTokenizer.from_pretrained(packaged_encoder()),_TrainerClock()
    def _tokens_of(batch): return tok(batch['text'], truncation=True, max_length=max_length)
    ds = Dataset.from_pandas(df).map(_tokens_of, batched=True, remove_columns=['text'])
    model = network(kind, attn_dropout)
    if frozen:
        for p in [p for o in transformer_splitter(model)[:-1] for p in o]: p.requires_grad_(False)
    def _run():
        with tempfile.TemporaryDirectory() as d:
            silent = dict(report_to=[], save_strategy='no', logging_strategy='no', disable_tqdm=True)
            args = TrainingArguments(d, per_device_train_batch_size=BS, num_train_epochs=epochs, learning_rate=1e-4,
                                     dataloader_drop_last=True, use_cpu=not torch.cuda.is_available(),
                                     **silent, **settings)
            res = Trainer(model, args, train_dataset=ds, data_collator=DataCollatorWithPadding(tok), callbacks=[clock])
            res.remove_callback(PrinterCallback)
            res.train()
        return clock.seconds
    return _run

def best_settings(
    device, # Where Trainer will run
) -> dict: # For `TrainingArguments`
    "The settings that make Trainer fastest"
    precision = {o:True for o in ('bf16','fp16') if best_precision(device)==o}
    return dict(train_sampling_strategy='group_by_length', **precision)

def plain(learn, kind):
    "The limit: ready-made batches of `learn`, the same network bare, torch's fused AdamW, its precision and clipping"
    dls = learn.dls
    model,fields = network(kind, own_dropout(learn)),text_tfm(dls).encoder.fields
    def _bare(o): return o.contiguous().as_subclass(torch.Tensor)
    batches = [({f:_bare(x[:,i]) for i,f in enumerate(fields)}, y.as_subclass(torch.Tensor)) for x,y in dls.train]
    device = next(model.parameters()).device.type
    dtype = dict(bf16=torch.bfloat16, fp16=torch.float16).get(best_precision(device))
    def _run():
        opt,start = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True),_now()
        for x,y in batches:
            with torch.autocast(device, dtype=dtype, enabled=dtype is not None): logits = model(**x).logits
            F.cross_entropy(logits.float(), y).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
            opt.step()
            opt.zero_grad()
        return _now()-start
    return _run

# Memory

def _resident(field):
    "GiB of this process: 'VmRSS' now, 'VmHWM' at most since the mark was reset (Linux)"
    return next(int(o.split()[1]) for o in open('/proc/self/status') if o.startswith(field))/2**20

def peak_memory(
    run, # A function
) -> float: # GiB
    "Highest memory during `run` above what was taken before: activations, gradients, optimizer; not the weights"
    gc.collect()
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return (torch.cuda.max_memory_allocated()-before)/2**30
    ctypes.CDLL(None).malloc_trim(0)
    before = _resident('VmRSS')
    with open('/proc/self/clear_refs', 'w') as f: f.write('5')
    run()
    return _resident('VmHWM')-before

# The tables

def compare(
    df:pd.DataFrame, # Texts and labels
    max_length:int, # Tokens
    rounds:int, # Rounds that count
    kind:str, # Network
):
    "Print one table of tokens per second as ratios"
    run_ours,learn = ours(df, max_length, kind)
    train,dls = df[:-BS],learn.dls
    best = best_settings(dls.device)
    runs = {'Trainer, defaults': trainer(train, max_length, kind),
            'Trainer, group_by_length and bf16': trainer(train, max_length, kind, **best)}
    if not own_dropout(learn):
        runs['the same without attention dropout'] = trainer(train, max_length, kind, attn_dropout=0., **best)
    runs.update({'toxicai, defaults': run_ours, 'plain loop, ready batches': plain(learn, kind)})
    secs = interleaved(runs, rounds)
    real,padded = _tokens(dls.train)
    base,best = secs['Trainer, defaults'],secs['Trainer, group_by_length and bf16']
    limit,n_steps = secs['plain loop, ready batches'],len(dls.train)
    def _row(name, took):
        over = 1000*median(a-b for a,b in zip(took, limit))/n_steps
        return {'': name, 'real tokens/s': round(real/median(took)),
                'speed, Trainer defaults = 1': pairwise(base, took),
                'speed, Trainer best = 1': pairwise(best, took), 'speed, limit = 1': pairwise(limit, took),
                'ms/step over limit': over, 'peak GiB': peak_memory(runs[name])}
    show([_row(k, v) for k,v in secs.items()],
         f'{len(train):,} Jigsaw comments, batches of {BS} ({n_steps} steps), at most {max_length} tokens, '
         f'{kind}, {rounds} rounds, seed 0; padded/real tokens of toxicai {padded/real:.3f}')

def compare_frozen(
    df:pd.DataFrame, # Texts and labels
    max_length:int, # Tokens
    rounds:int, # Rounds that count
    kind:str, # Network
    epochs:int, # Epochs with the head alone
):
    "Print one table of seconds for training the head alone"
    run_ours,learn = ours(df, max_length, kind, True, epochs)
    train = df[:-BS]
    best = best_settings(learn.dls.device)
    runs = {'Trainer, group_by_length and bf16, body frozen': trainer(train, max_length, kind, True, epochs, **best),
            'toxicai, body frozen': run_ours}
    secs = interleaved(runs, rounds)
    base = secs['Trainer, group_by_length and bf16, body frozen']
    show([{'': k, 'seconds': median(v), 'speed, Trainer best = 1': pairwise(base, v)} for k,v in secs.items()],
         f'{epochs} epochs with the head alone; {len(train):,} Jigsaw comments, batches of {BS}, '
         f'at most {max_length} tokens, {kind}, {rounds} rounds, seed 0')

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--max_length', type=int, nargs='+', default=[128, 256])
    p.add_argument('--rows', type=int, default=1024)
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--model', default='packaged', choices=['packaged', 'bert-base'])
    p.add_argument('--frozen_epochs', type=int, default=3)
    args = p.parse_args()
    quiet()
    warnings.simplefilter('ignore')
    set_seed(0)
    print(machine())
    for n in args.max_length: compare(sample(args.rows, 0), n, args.rounds, args.model)
    if args.frozen_epochs:
        compare_frozen(sample(args.rows, 0), args.max_length[0], args.rounds, args.model, args.frozen_epochs)

"Encoding agrees with transformers; batches hold every row once, in an order that predictions undo"
import re,warnings
from collections import Counter
from functools import partial

import numpy as np,pandas as pd,pytest,torch
from datasets import ClassLabel,Dataset,DatasetDict
from fastai.data.all import (CategoryBlock,ColReader,ColSplitter,DataBlock,DataLoaders,IndexSplitter,MultiCategoryBlock,RandomSplitter,
                             RegressionBlock,Transform)
from fastai.text.data import TitledStr
from toxicai.data.encode import *
from toxicai.data.batches import *
from toxicai.data.loaders import *
from toxicai.train.learner import *
from toxicai.test_utils import *
from toxicai.text.tokenizer import *
from transformers import AutoTokenizer,ByT5Tokenizer,CanineTokenizer,CTRLTokenizer

raw = partial(TextEncoder, rules=()) # The tokenizer alone, which is what transformers is compared with
styles = ['bert','roberta','xlnet','t5','gpt2','llama']
words = ' '.join(comments().text).split() + ['😀','👍🏽','naïve','ÅNGSTRÖM','مرحبا','\u200b','don\'t','...','\n','xyzzy'*5]

def random_text(rng, top=40): return ' '.join(rng.choice(words, rng.integers(0, top)))
def random_texts(seed=0, n=60, top=40):
    rng = np.random.default_rng(seed)
    return [random_text(rng, top) for _ in range(n)]

def own_tokenizer(style):
    "A tokenizer of transformers to compare with: as it was saved, with a pad token"
    tok = AutoTokenizer.from_pretrained(packaged_encoder()) if style=='packaged' else AutoTokenizer.from_pretrained(tiny_checkpoint(by_style[style]))
    if tok.pad_token is None: tok.pad_token = tok.eos_token
    return tok

by_style = dict(bert='bert', roberta='roberta', xlnet='xlnet', t5='t5', gpt2='gpt2', llama='llama')
all_styles = [*styles, pytest.param('packaged', marks=pytest.mark.slow)]

def rows_of(ids, enc):
    "Each text of `ids` as a dict of lists, without padding"
    res = []
    for i in range(len(ids)):
        x = ids.batch([i], enc)[0]
        res.append({o: x[j].tolist() for j,o in enumerate(enc.fields)})
    return res

def by_transformers(tok, texts, fields, max_length):
    """What `tok` makes of `texts`, as a list: given one pair alone, transformers takes an empty second text for none,
    in a list it does not; a text must not depend on how it is passed, so the list is the reference"""
    columns = [texts] if isinstance(texts[0], str) else [list(o) for o in zip(*texts)]
    encs = tok(*columns, truncation=True, max_length=max_length, verbose=False, return_token_type_ids='token_type_ids' in fields)
    return [{f: list(encs[f][i]) for f in fields} for i in range(len(texts))]

def check_same(enc, tok, texts):
    "Texts of which `tok` keeps no token have one in `enc`, because a network needs one"
    got,expected = rows_of(enc.encode(texts), enc),by_transformers(tok, texts, enc.fields, enc.max_length)
    for t,a,b in zip(texts, got, expected):
        if b['input_ids']: assert a==b, t
        else: assert len(a['input_ids'])==1

# Agreement with transformers

@pytest.mark.parametrize('cut,side', [('head','right'), ('tail','left')])
@pytest.mark.parametrize('max_length', [5,16,64])
@pytest.mark.parametrize('style', all_styles)
def test_single(style, max_length, cut, side):
    tok = own_tokenizer(style)
    tok.truncation_side = side
    check_same(raw(tok, max_length, cut), tok, ['', ' ', *random_texts()])

@pytest.mark.parametrize('cut,side', [('head','right'), ('tail','left')])
@pytest.mark.parametrize('max_length', [7,12,13,30])
@pytest.mark.parametrize('style', all_styles)
def test_pairs(style, max_length, cut, side):
    "The rule of the Rust tokenizers to the token: the longer text gives way; of an odd budget the longer one, or else the second, keeps one more"
    tok = own_tokenizer(style)
    tok.truncation_side = side
    a,b = random_texts(1),random_texts(2)
    same = [(o,o) for o in a[:10]] + [('you are', ' '.join(['you']*40)), (' '.join(['you']*40), 'you are'), ('', a[0]), (a[0], ''), ('','')]
    check_same(raw(tok, max_length, cut), tok, [*zip(a, b), *same])

@pytest.mark.parametrize('max_length', range(5, 20))
def test_pair_budgets(max_length):
    "All lengths from 0 to 12 words against each other, at even and odd budgets"
    tok = own_tokenizer('bert')
    check_same(raw(tok, max_length), tok, [('you '*i, 'are '*j) for i in range(13) for j in range(13)])

@pytest.mark.parametrize('style', all_styles)
def test_head_tail(style):
    "A quarter of the room for the head, the rest for the tail, the frame as in the uncut text; see `cuts`"
    tok = own_tokenizer(style)
    enc = raw(tok, 16, 'head_tail')
    for text,got in zip(texts := random_texts(3), rows_of(enc.encode(texts), enc)):
        full = tok(text, truncation=False, verbose=False)['input_ids']
        if len(full)<=16: assert got['input_ids']==full or not full
        else:
            body = tok(text, add_special_tokens=False, verbose=False)['input_ids']
            k = 16-(len(full)-len(body))
            at = next(i for i in range(len(full)) if full[i:i+len(body)]==body)
            assert got['input_ids']==full[:at]+body[:k//4]+body[len(body)-(k-k//4):]+full[at+len(body):]

@pytest.mark.parametrize('style', all_styles)
def test_full_lengths(style):
    "`full` counts the tokens before the cut, special ones included"
    tok = own_tokenizer(style)
    texts = random_texts(4)
    expected = [max(1, len(tok(o, truncation=False, verbose=False)['input_ids'])) for o in texts]
    ids = raw(tok, 16).encode(texts)
    assert ids.full.tolist()==expected and ids.lengths.tolist()==[min(o, 16) for o in expected]

@pytest.mark.parametrize('pair', [False, True], ids=['single','pair'])
@pytest.mark.parametrize('style', all_styles)
def test_batches(style, pair):
    "Padded batches are those of `tok.pad`"
    tok = own_tokenizer(style)
    enc = raw(tok, 24)
    texts = [o or 'a' for o in random_texts(5)]
    if pair: texts = list(zip(texts, random_texts(6)))
    tok.padding_side = enc.tok.padding_side
    ids = enc.encode(texts)
    for idxs in np.random.default_rng(0).permutation(60).reshape(-1, 12):
        expected = tok.pad(by_transformers(tok, [texts[i] for i in idxs], enc.fields, 24), return_tensors='np')
        for f,o in zip(enc.fields, ids.batch(idxs, enc).swapaxes(0,1)): np.testing.assert_array_equal(o, expected[f], err_msg=f)

def test_padding_sides():
    "Only a frame that ends with the class token pads on the left: there the network reads the last position"
    assert {o: raw(tiny_tokenizer(o), 16).tok.padding_side for o in styles}=={o: 'left' if o=='xlnet' else 'right' for o in styles}

@pytest.mark.parametrize('style', styles)
def test_special_tokens_in_text(style):
    "A comment that spells special tokens out has no more of them than any other: T5 and BART refuse a batch in which the ends differ"
    tok = own_tokenizer(style)
    enc = raw(tok, 64)
    text = ' '.join(['you', *tok.all_special_tokens, 'are'])
    special = lambda t: [o for o in enc.encode([t]).arrays['input_ids'].tolist() if o in set(tok.all_special_ids)-{tok.unk_token_id}]
    assert special(text)==special('you are') and special(('you', text))==special(('you', 'are'))

def test_special_tokens_in_text_slow():
    tok = ByT5Tokenizer()
    enc = raw(tok, 64)
    special = lambda t: [o for o in enc.encode([t]).arrays['input_ids'].tolist() if o in set(tok.all_special_ids)-{tok.unk_token_id}]
    assert special(' '.join(['you', *tok.all_special_tokens]))==special('you')

# Settings baked into a tokenizer file

def baked(style='bert'):
    tok = AutoTokenizer.from_pretrained(tiny_checkpoint(style))
    tok.backend_tokenizer.enable_truncation(8)
    tok.backend_tokenizer.enable_padding(length=8)
    return tok

def test_baked_in_object():
    tok = baked()
    ids = raw(tok, 64).encode(['you are an idiot '*10, 'you'])
    assert ids.lengths[0]>8 and ids.lengths[1]==3
    assert tok.backend_tokenizer.truncation['max_length']==8 and tok.backend_tokenizer.padding['length']==8

def test_baked_in_folder(tmp_path):
    baked().save_pretrained(tmp_path)
    ids = raw(tmp_path, 64).encode(['you are an idiot '*10, 'you'])
    assert ids.lengths[0]>8 and ids.lengths[1]==3

@pytest.mark.slow
def test_packaged_not_cut_at_128():
    enc = raw(packaged_encoder())
    ids = enc.encode(['you '*1000, 'you'])
    assert ids.lengths.tolist()==[enc.max_length,3] and enc.max_length>128 and ids.full[0]==1002

@pytest.mark.parametrize('style', styles)
def test_own_tokenizer_unchanged(style):
    "The caller's tokenizer keeps its sides, its pad token and its settings"
    tok = AutoTokenizer.from_pretrained(tiny_checkpoint(by_style[style]))
    tok.padding_side,tok.truncation_side = 'left','left'
    before = (tok.pad_token, tok.padding_side, tok.truncation_side, len(tok), tok.backend_tokenizer.to_str())
    enc = raw(tok, 16)
    enc.encode(random_texts(n=5))
    assert before==(tok.pad_token, tok.padding_side, tok.truncation_side, len(tok), tok.backend_tokenizer.to_str())
    assert enc.tok is not tok and enc.tok.pad_token is not None

@pytest.mark.parametrize('arch', archs)
def test_default_max_length(arch):
    "Every architecture has a usable default that its network can do"
    enc = raw(tiny_checkpoint(arch))
    assert 64<=enc.max_length<=512

# Slow tokenizers

def bpe_files(path):
    (path/'vocab.json').write_text('{"<unk>":0, "you</w>":1, "y":2, "o":3, "u</w>":4, "are</w>":5, "a":6, "r":7, "e</w>":8, "ou</w>":9, "re</w>":10}', encoding='utf-8')
    (path/'merges.txt').write_text('#version: 0.2\no u</w>\ny ou</w>\nr e</w>\na re</w>\n', encoding='utf-8')
    return CTRLTokenizer(str(path/'vocab.json'), str(path/'merges.txt'), pad_token='<unk>')

slow_toks = {'byt5': lambda p: ByT5Tokenizer(), 'canine': lambda p: CanineTokenizer(), 'ctrl': bpe_files}

@pytest.mark.parametrize('name', slow_toks)
def test_slow_single(name, tmp_path):
    "A tokenizer written in Python, head and tail cut"
    tok = slow_toks[name](tmp_path)
    assert not tok.is_fast
    for cut,side in (('head','right'), ('tail','left')):
        tok.truncation_side = side
        check_same(raw(tok, 24, cut), tok, ['', 'you are', *random_texts(n=20)])

@pytest.mark.parametrize('name', ['byt5','canine'])
def test_slow_pairs(name, tmp_path):
    """As the Rust rule has it. Python tokenizers give the odd token of two texts that both give way to the first one
    instead of the second: the same budget for both kinds matters more than that token, so there only the shares are compared"""
    tok = slow_toks[name](tmp_path)
    n_special = 2 if name=='byt5' else 3
    for i,j in ((0,3), (3,0), (5,30), (30,5), (30,30), (8,9), (9,8)):
        enc = raw(tok, 16+n_special)
        check_same(enc, tok, [('a'*i, 'b'*j)])
        odd = rows_of(raw(tok, 15+n_special).encode([('a'*i, 'b'*j)]), enc)[0]['input_ids']
        expected = tok('a'*i, 'b'*j, truncation=True, max_length=15+n_special, verbose=False)['input_ids']
        a,b = (tok.convert_tokens_to_ids(o) for o in 'ab')
        assert len(odd)==len(expected) and abs(odd.count(a)-expected.count(a))<=1 and abs(odd.count(b)-expected.count(b))<=1

@pytest.mark.parametrize('name', slow_toks)
def test_slow_unchanged(name, tmp_path):
    tok = slow_toks[name](tmp_path)
    tok.padding_side = 'left'
    enc = raw(tok, 24)
    assert enc.tok is not tok and tok.padding_side=='left' and enc.encode(['\ud83d you', '']).lengths.min()>0

def test_slow_trains():
    "From loaders to losses with a tokenizer in Python; vocabulary of the tiny network is too small, so only batches are compared"
    df = comments(48)
    dls = ToxicityDataLoaders.from_df(df, ByT5Tokenizer(), bs=8, max_length=32)
    tok = ByT5Tokenizer()
    x,_ = dls.valid.one_batch()
    texts = [dls.valid_ds.items.text.iloc[i] for i in dls.valid.get_idxs()[:8]]
    expected = tok(texts, truncation=True, max_length=32, padding=True, return_tensors='pt')
    assert torch.equal(torch.Tensor(x[:,0]), expected['input_ids'].float()) and torch.equal(torch.Tensor(x[:,1]), expected['attention_mask'].float())

# Back to text

@pytest.mark.parametrize('style', all_styles)
def test_decode(style):
    "Special tokens and padding are gone; pairs come back as two"
    tok = own_tokenizer(style)
    enc = raw(tok, 64)
    ids = enc.encode(['thank you', 'you are an idiot, thank you'])
    first,second = [enc.decode(o) for o in ids.batch([0,1], enc)]
    assert first=='thank you' and second=='you are an idiot, thank you'
    if style not in ('gpt2',):
        pair = enc.decode(enc.encode([('thank you', 'you are an idiot')]).batch([0], enc)[0])
        assert pair==('thank you', 'you are an idiot')
    for o in tok.all_special_tokens: assert o not in first+second

def test_rules():
    "Rules come before the tokenizer, in order, on both texts of a pair"
    plain,ruled = TextEncoder(tiny_checkpoint(), 32),TextEncoder(tiny_checkpoint(), 32, rules=[str.strip, lambda o: o.replace('1', 'i')])
    for a,b in (([' 1diot '], ['idiot']), ([(' 1diot', 'th1s ')], [('idiot', 'this')])):
        np.testing.assert_array_equal(ruled.encode(a).arrays['input_ids'], plain.encode(b).arrays['input_ids'])

# The loader

def long_tailed(n=400, seed=0):
    "Comments whose length is lognormal: median 12 words, the longest some 100"
    rng = np.random.default_rng(seed)
    n_words = np.clip(rng.lognormal(2.5, .9, n), 1, 100).astype(int)
    text = [f'{i} '+' '.join(rng.choice(words, k)) for i,k in enumerate(n_words)]
    label = rng.choice(['kind','rude'], n)
    return pd.DataFrame(dict(text=text, label=label, toxic=(label=='rude').astype(int), score=rng.random(n), pair=text[::-1]))

@pytest.fixture(scope='module')
def df(): return long_tailed()

def block_dls(df, ck=None, y='label', block=CategoryBlock, x=ColReader('text'), bs=16, item_tfms=None, dl_kwargs=None, splitter=None, **kwargs):
    blocks = (TransformerTextBlock(ck or tiny_checkpoint(), **{'max_length':64, **kwargs}), block)
    dblock = DataBlock(blocks=blocks, get_x=x, get_y=ColReader(y) if isinstance(y, (str,list)) else y, splitter=splitter or RandomSplitter(seed=1), item_tfms=item_tfms)
    return dblock.dataloaders(df, bs=bs, **(dl_kwargs or {}))

@pytest.fixture(scope='module')
def dls(df): return quiet(block_dls, df)

def quiet(f, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', '.*longer than `max_length')
        return f(*args, **kwargs)

def quiet_learner(dls, ck=None, **kwargs):
    torch.manual_seed(0)
    learn = quiet(toxicity_learner, dls, ck, precision='fp32', **kwargs)
    # A random head says nearly the same of every text: without this a wrong order would pass for the right one
    with torch.no_grad(): list(p for p in learn.splitter(learn.model)[-1] if p.ndim>1)[-1].mul_(30)
    learn.remove_cbs([o for o in learn.cbs if o.name=='progress'])
    return learn

def padding(batches):
    "Padded over real tokens"
    masks = [x[:,2] for x,_ in batches]
    return sum(m.numel() for m in masks)/sum(float(m.sum()) for m in masks)

def in_tokens(tl): return tl._ids.lengths

def test_each_row_once(dls):
    "An epoch holds each row at most once, all but the rest that fills no batch; the next one in another order"
    epochs = [dls.train.get_idxs() for _ in range(3)]
    n = len(dls.train_ds)
    for o in epochs: assert len(set(o))==len(o)==n//16*16 and set(o)<=set(range(n))
    assert epochs[0]!=epochs[1]
    assert sorted(dls.valid.get_idxs())==list(range(len(dls.valid_ds)))

def keys(x): return [tuple(o[0][o[2]>0].tolist()) for o in x]

def test_batches_hold_their_rows(dls):
    "Text and label of each row stay together, and no row comes twice"
    rows = Counter((keys(x[None])[0], int(y)) for x,y in dls.train_ds)
    seen = Counter((k, int(l)) for x,y in dls.train for k,l in zip(keys(x), y))
    assert seen==rows and len(rows)>300

def padded_share(lengths, order):
    "Padded over real tokens of batches of 16 in `order`"
    batches = [lengths[order[i:i+16]] for i in range(0, len(order), 16)]
    return sum(o.max()*len(o) for o in batches)/sum(o.sum() for o in batches)

def test_padding_share(dls):
    "Random batches pad more than half here; within a pool of 50 batches buckets are as good as sorting everything"
    lengths = in_tokens(dls.train_ds.tls[0])
    at_random = padded_share(lengths, np.random.default_rng(0).permutation(len(lengths)))
    assert at_random>1.5 and padding(dls.train)==pytest.approx(padded_share(lengths, np.argsort(-lengths)), abs=1e-6)
    lengths = in_tokens(dls.valid_ds.tls[0])
    assert padding(dls.valid)==pytest.approx(padded_share(lengths, np.argsort(-lengths)), abs=1e-6)

def test_pools(dls):
    "Pools of 4 batches: more padding than one pool, less than none, another mix in each epoch"
    lengths = in_tokens(dls.train_ds.tls[0])
    dl = dls.train.new(pool=4)
    shares = [padded_share(lengths, dl.get_idxs()) for _ in range(5)]
    assert padding(dls.train)<min(shares) and max(shares)<1.7 and len(set(shares))>1

def test_drop_last_is_random(dls):
    "The rows that fill no batch are any rows: long and short ones, others in each epoch"
    lengths,n = in_tokens(dls.train_ds.tls[0]),len(dls.train_ds)
    dl = dls.train.new(bs=100)
    dropped = [sorted(set(range(n))-set(dl.get_idxs())) for _ in range(20)]
    assert {len(o) for o in dropped}=={n%100} and len(set(map(tuple, dropped)))==20
    assert np.mean([lengths[o].mean() for o in dropped])==pytest.approx(lengths.mean(), rel=.2)

def test_last_batch_without_drop(dls):
    dl = dls.train.new(bs=100, drop_last=False)
    assert [len(y) for _,y in dl]==[100,100,100,20]

def test_seeded(df):
    "The same seed gives the same batches"
    first,second = (quiet(block_dls, df) for _ in range(2))
    for o in (first, second): o.rng = o.train.rng.seed(3)
    for (a,b),(c,d) in zip(first.train, second.train): assert torch.equal(a, c) and torch.equal(b, d)

def test_shuffle_knows_no_length(dls):
    "Batches come in random order: lengths do not rise or fall through the epoch"
    sizes = np.array([x.shape[-1] for _ in range(10) for x,_ in dls.train])
    place = np.tile(np.arange(len(sizes)//10), 10)
    assert abs(np.corrcoef(sizes, place)[0,1])<.3

def test_new_keeps(dls):
    "`.new()`, `test_dl` and `new_empty` give the same kind of loader with its settings"
    dl = dls.train.new(pool=7)
    assert isinstance(dl, BucketedDL) and dl.pool==dl.new().pool==7 and dl.new(bs=4).bs==4
    ordered = dls.valid.new(in_order=True)
    assert ordered.get_idxs()==ordered.new().get_idxs()==list(range(len(dls.valid_ds)))
    test = dls.test_dl(dls.valid_ds.items)
    sizes = [x.shape[-1] for x, in test]
    assert isinstance(test, BucketedDL) and not test.shuffle and not test.drop_last and sizes==sorted(sizes, reverse=True)
    assert isinstance(dls.new_empty().valid, BucketedDL) and len(dls.new_empty().train_ds)==0

def test_new_tokenises_nothing(dls, monkeypatch):
    monkeypatch.setattr(TextEncoder, 'encode', lambda *args, **kwargs: pytest.fail('tokenised again'))
    assert len(list(dls.valid.new(bs=4)))==20 and len(list(dls.train))==20

def test_workers(df, dls):
    "Two processes give the batches of none"
    for a,b in zip(dls.valid, dls.valid.new(num_workers=2), strict=True): assert all(torch.equal(o, p) for o,p in zip(a, b))
    batches = []
    for n in (0,2):
        dl = dls.train.new(num_workers=n)
        dl.rng.seed(5)
        batches.append(list(dl))
    for a,b in zip(*batches, strict=True): assert all(torch.equal(o, p) for o,p in zip(a, b))

@pytest.mark.parametrize('arch', ['bert','roberta','xlnet','gpt2','t5'])
@pytest.mark.parametrize('pair', [False, True], ids=['single','pair'])
def test_item_tfms_same(arch, pair):
    "The user's own item transforms take fastai's way, item by item, to the same tensors"
    small = long_tailed(80)
    x = (lambda r: (r.text, r.pair)) if pair else ColReader('text')
    fast,slow = (quiet(block_dls, small, tiny_checkpoint(arch), x=x, item_tfms=o) for o in (None, Transform(lambda o: o)))
    for a,b in zip(fast.valid, slow.valid, strict=True):
        assert type(a[0])==type(b[0]) and torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])

def test_item_tfms_run(df):
    "What the user adds is called, for each item"
    seen = []
    class Note(Transform):
        def encodes(self, o:EncodedText):
            seen.append(o.shape)
            return o
    dls = quiet(block_dls, df, item_tfms=Note())
    seen.clear()
    dls.valid.one_batch()
    assert len(seen)==16 and all(o[0]==3 for o in seen)

@pytest.mark.parametrize('arch', ['bert','xlnet'])
def test_lazy_same(df, arch):
    "Tokenising batch by batch: the same rows, the same predictions (1e-5: other neighbours, other padding)"
    bulk,lazy = (quiet(block_dls, df, tiny_checkpoint(arch), lazy=o) for o in (False, True))
    learn = quiet_learner(bulk)
    probs,targs = learn.get_preds(dl=bulk.valid)
    lazy_probs,lazy_targs = learn.get_preds(dl=lazy.valid)
    torch.testing.assert_close(lazy_probs, probs, atol=1e-5, rtol=0)
    assert torch.equal(targs, lazy_targs)
    assert not hasattr(lazy.valid_ds.tls[0], '_ids')
    if arch=='bert': assert padding(lazy.train)<0.85*padding(lazy.train.new(in_order=True)), 'characters stand in for tokens when batches are made'

# Order of predictions

@pytest.mark.parametrize('arch', ['bert','roberta','xlnet','gpt2','llama','t5'])
def test_preds_one_by_one(df, arch):
    "A batch changes nothing but the last digits (1e-5), and rows come back in their order"
    dls = quiet(block_dls, df, tiny_checkpoint(arch))
    learn = quiet_learner(dls)
    probs,targs = learn.get_preds()
    rows = dls.valid_ds.items
    assert targs.tolist()==[dls.vocab.o2i[o] for o in rows.label]
    for i in range(0, len(rows), 8):
        with learn.no_bar(): one = quiet(learn.predict, rows.iloc[i])[2]
        torch.testing.assert_close(torch.Tensor(one), torch.Tensor(probs[i]), atol=1e-5, rtol=0)
    assert probs.std(0).min()>1e-4

def test_preds_of_training_rows(dls):
    "`ds_idx=0` predicts every training row, in its order"
    learn = quiet_learner(dls)
    probs,targs = learn.get_preds(ds_idx=0)
    assert targs.tolist()==[dls.vocab.o2i[o] for o in dls.train_ds.items.label]
    again = learn.get_preds(dl=dls.test_dl(dls.train_ds.items))[0]
    torch.testing.assert_close(again, probs, atol=1e-5, rtol=0)

# Tokenised already

def tokenised(df, tok, pad=False, max_length=64):
    cols = df[['text','label']]
    return Dataset.from_pandas(cols).map(lambda b: tok(b['text'], truncation=True, max_length=max_length, **(dict(padding='max_length') if pad else {})), batched=True)

@pytest.mark.parametrize('style', ['bert','xlnet','roberta'])
@pytest.mark.parametrize('pad', [False, True], ids=['bare','padded'])
def test_input_ids(df, pad, style):
    "A table with `input_ids`, padded or not, gives the predictions of its texts"
    tok = own_tokenizer(style)
    ds = tokenised(df, tok, pad).remove_columns('text')
    ck = tiny_checkpoint(by_style[style])
    raw = quiet(ToxicityDataLoaders.from_df, df, ck, bs=16, max_length=64, rules=())
    ready = ToxicityDataLoaders.from_dataset(ds, ck, bs=16, max_length=64)
    learn = quiet_learner(raw)
    probs,targs = learn.get_preds()
    ready_probs,ready_targs = learn.get_preds(dl=ready.valid)
    assert torch.equal(targs, ready_targs) and (ready.valid_ds.tls[0]._ids.lengths==raw.valid_ds.tls[0]._ids.lengths).all()
    torch.testing.assert_close(ready_probs, probs, atol=1e-5, rtol=0)

def test_input_ids_taken_as_they_are(df):
    "Ids that are not the tokenizer's own reach the network unchanged"
    tok = own_tokenizer('bert')
    ds = tokenised(df, tok).remove_columns(['text','token_type_ids','attention_mask'])
    odd = ds.map(lambda r: {'input_ids': r['input_ids'][::-1]})
    dls = ToxicityDataLoaders.from_dataset(odd, tiny_checkpoint(), bs=16, max_length=64)
    x = dls.valid_ds[0][0]
    assert x[0,0]==tok.sep_token_id and x[0,-1]==tok.cls_token_id

id_errors = {'of another tokenizer': (lambda r: [5000], ValueError, 'token id 5000 is beyond'), 'too long': (lambda r: [5]*65, ValueError, '65 tokens, `max_length` is 64'),
             'empty': (lambda r: [], ValueError, 'row 0 has no token'), 'negative': (lambda r: [-100], ValueError, '-100')}

@pytest.mark.parametrize('name', id_errors)
def test_bad_input_ids(name):
    ids,error,message = id_errors[name]
    with pytest.raises(error, match=message): raw(tiny_checkpoint(), 64).encode([{'input_ids':ids(None)}])

# Hugging Face data sets

def with_names(df):
    ds = Dataset.from_dict(dict(text=df.text.tolist(), label=[int(o=='rude') for o in df.label], toxic=df.toxic.tolist()))
    return ds.cast_column('label', ClassLabel(names=['kind','rude']))

def test_class_label(df):
    "The names of the feature, in its order; -1 is a missing label"
    ds = with_names(df)
    ds = ds.map(lambda r,i: {'label': -1 if i in (3,5) else r['label']}, with_indices=True)
    with pytest.warns(UserWarning, match='2 of 400 rows have no label'): dls = quiet(ToxicityDataLoaders.from_dataset, ds, tiny_checkpoint(), max_length=64)
    assert dls.vocab==['kind','rude'] and len(dls.train_ds)+len(dls.valid_ds)==398
    rows = {t: l for t,l in zip(df.text, df.label)}
    for i in range(10): assert dls.vocab[dls.valid_ds[i][1]]==rows[dls.valid_ds.items.text.iloc[i]]

def test_class_label_order(df):
    "The order of the feature counts, not the alphabet's, and a class that no row has stays in place"
    ds = Dataset.from_dict(dict(text=df.text.tolist(), label=[2*int(o) for o in df.toxic])).cast_column('label', ClassLabel(names=['ok','spam','bad']))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        dls = ToxicityDataLoaders.from_dataset(ds, tiny_checkpoint(), max_length=64)
    assert dls.vocab==['ok','spam','bad'] and set(dls.valid.one_batch()[1].tolist())=={0,2}

@pytest.mark.parametrize('how', ['from_df','list'])
def test_class_label_names_everywhere(df, how):
    "A `Dataset` in `from_df`, and a list with one column, keep the names too"
    ds = with_names(df)
    dls = quiet(ToxicityDataLoaders.from_df, ds, tiny_checkpoint(), max_length=64) if how=='from_df' else quiet(ToxicityDataLoaders.from_dataset, ds, tiny_checkpoint(), label_cols=['label'], max_length=64)
    assert dls.vocab==['kind','rude']

def test_list_of_class_labels(df):
    "Tags as numbers with names, the way of GoEmotions"
    from datasets import Features,List,Value
    features = Features(text=Value('string'), labels=List(ClassLabel(names=['anger','joy'])))
    ds = Dataset.from_dict(dict(text=df.text.tolist(), labels=[[0],[1],[0,1],[]]*100), features=features)
    assert quiet(ToxicityDataLoaders.from_dataset, ds, tiny_checkpoint(), label_cols='labels', max_length=64).vocab==['anger','joy']

def test_multi_hot_lists(df):
    "Lists of 0. and 1. are flags, not the names of tags: read as flags or refused"
    ds = Dataset.from_dict(dict(text=df.text.tolist(), labels=[[0.,1.],[1.,1.],[1.,0.],[0.,0.]]*100))
    try: dls = quiet(ToxicityDataLoaders.from_dataset, ds, tiny_checkpoint(), label_cols='labels', max_length=64)
    except (TypeError,ValueError) as e: assert 'column' in str(e) or 'vocab' in str(e)
    else: assert len(dls.vocab)==2 and '0.0' not in dls.vocab

def test_dataset_dict(df):
    "The splits of the data set are those of the loaders"
    ds = with_names(df)
    dd = DatasetDict(train=ds.select(range(300)), validation=ds.select(range(300, 350)), test=ds.select(range(350, 400)))
    dls = quiet(ToxicityDataLoaders.from_dataset, dd, tiny_checkpoint(), max_length=64)
    assert dls.train_ds.items.text.tolist()==df.text[:300].tolist() and dls.valid_ds.items.text.tolist()==df.text[300:350].tolist()
    with pytest.raises(ValueError, match="has \\['train', 'test'\\]: expected 'train' and 'validation'"):
        ToxicityDataLoaders.from_dataset(DatasetDict(train=dd['train'], test=dd['test']), tiny_checkpoint())

# Other blocks

def test_multi_category_block(df):
    "Names in lists, not encoded"
    tags = df.assign(tags=[['a'],['b','a'],[],['b']]*100)
    dls = quiet(block_dls, tags, y='tags', block=MultiCategoryBlock)
    rows = dls.valid_ds.items.tags.tolist()
    for i,x,y in ((i, None, y) for i,y in zip(dls.valid.get_idxs(), torch.cat([y for _,y in dls.valid]))):
        assert {n for n,v in zip(dls.vocab, y) if v==1}==set(rows[i])
    assert 0<=quiet_learner(dls).validate()[0]<2

def test_regression_block(df):
    dls = quiet(block_dls, df, y='score', block=RegressionBlock)
    learn = quiet_learner(dls)
    preds,targs = learn.get_preds()
    np.testing.assert_allclose(targs, dls.valid_ds.items.score, rtol=1e-6)
    assert preds.shape[0]==80 and preds.isfinite().all()
    assert learn.validate()[0]==pytest.approx(float(((preds.squeeze()-targs)**2).mean()), rel=1e-4)

def test_regression_two_columns(df):
    dls = quiet(block_dls, df.assign(other=1-df.score), y=['score','other'], block=RegressionBlock(n_out=2))
    assert dls.valid.one_batch()[1].shape==(16,2) and quiet_learner(dls).get_preds()[0].shape==(80,2)

@pytest.mark.parametrize('x', [lambda r: (r.text, r.pair), lambda r: [r.text, r.pair], ColReader(['text','pair'])], ids=['tuple','list','ColReader'])
def test_pairs_in_a_block(df, x):
    "Two strings from `get_x`, in whatever holds them, are a pair"
    dls = quiet(block_dls, df, x=x)
    tok = own_tokenizer('bert')
    rows = dls.valid_ds.items
    for i in range(3):
        expected = tok(rows.text.iloc[i], rows.pair.iloc[i], truncation=True, max_length=64)
        assert dls.valid_ds[i][0][0].tolist()==expected['input_ids']
        assert len(text_tfm(dls).decode(dls.valid_ds[i][0]))==2
    assert (torch.cat([x[:,1].sum(1) for x,_ in dls.valid])>0).all()

def test_titled_and_numpy_strings(df):
    "Subclasses of `str` are text, also among plain strings"
    texts = [np.str_(t) if i%3==0 else TitledStr(t) if i%3==1 else t for i,t in enumerate(df.text)]
    ids = raw(tiny_checkpoint(), 64).encode(texts)
    np.testing.assert_array_equal(ids.arrays['input_ids'], raw(tiny_checkpoint(), 64).encode(df.text.tolist()).arrays['input_ids'])

def test_lists_as_items():
    "A `DataBlock` over a list, without a frame"
    rows = comments(48)[['text','label']].to_numpy().tolist()
    dblock = DataBlock(blocks=(TransformerTextBlock(tiny_checkpoint()), CategoryBlock), get_x=lambda o: o[0], get_y=lambda o: o[1], splitter=RandomSplitter(seed=1))
    dls = dblock.dataloaders(rows, bs=8)
    order = dls.valid.get_idxs()
    assert keys(dls.valid.one_batch()[0])==[keys(dls.valid_ds[i][0][None])[0] for i in order[:8]]

# Splits

def test_split_seeded(df):
    rows = [quiet(ToxicityDataLoaders.from_df, df, tiny_checkpoint(), seed=o, max_length=64).valid_ds.items.text.tolist() for o in (1,1,2)]
    assert rows[0]==rows[1]!=rows[2]

@pytest.mark.parametrize('pct', [.1,.25])
def test_split_stratified(df, pct):
    "Each combination of labels keeps its share, to one row"
    many = df.assign(rare=(np.arange(400)%20==0).astype(int), gap=np.where(np.arange(400)%4==0, np.nan, df.toxic))
    dls = quiet(ToxicityDataLoaders.from_df, many, tiny_checkpoint(), label_cols=['toxic','rare','gap'], valid_pct=pct, max_length=64)
    assert len(dls.valid_ds)==400*pct
    key = lambda d: Counter(zip(d.toxic, d.rare, d.gap.fillna(-1)))
    whole,part = key(many),key(dls.valid_ds.items)
    for o,n in whole.items(): assert abs(part[o]-n*pct)<=1, o

def test_split_independent_of_global_seed(df):
    np.random.seed(1)
    first = quiet(ToxicityDataLoaders.from_df, df, tiny_checkpoint(), max_length=64).valid_ds.items.text.tolist()
    np.random.seed(2)
    assert first==quiet(ToxicityDataLoaders.from_df, df, tiny_checkpoint(), max_length=64).valid_ds.items.text.tolist()

def test_split_column(df):
    side = df.assign(side=['train','dev']*200)
    assert quiet(ToxicityDataLoaders.from_df, side, tiny_checkpoint(), valid_col='side', max_length=64).valid_ds.items.text.tolist()==df.text[1::2].tolist()

def test_split_positions_with_gaps(df):
    "A splitter names rows of the user's frame, also where unlabelled rows are left out"
    gaps = df.assign(label=df.label.where(df.index>=10))
    with pytest.warns(UserWarning, match='10 of 400 rows'):
        dls = quiet(ToxicityDataLoaders.from_df, gaps, tiny_checkpoint(), splitter=IndexSplitter(list(range(100, 200))), max_length=64)
    assert dls.valid_ds.items.text.tolist()==df.text[100:200].tolist()

def test_splitter_of_fastai(df):
    flags = df.assign(is_valid=[i%5==0 for i in range(400)])
    dls = quiet(ToxicityDataLoaders.from_df, flags, tiny_checkpoint(), splitter=ColSplitter(), max_length=64)
    assert dls.valid_ds.items.text.tolist()==df.text[::5].tolist()

# Report of what is cut

def cut_warnings(f):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        f()
    return [str(o.message) for o in caught if 'max_length' in str(o.message)]

def cut_data():
    "48 texts of 5 tokens with their frame, of which 5 training and 3 validation rows have 10"
    text = ['you are you']*48
    for i in (0,1,2,3,4,40,41,42): text[i] = 'you are you are you are you are'
    return pd.DataFrame(dict(text=text, label=['a','b']*24, v=[0]*38+[1]*10))

def each_batch(**kwargs):
    dls = ToxicityDataLoaders.from_df(cut_data(), tiny_checkpoint(), valid_col='v', bs=8, max_length=6, **kwargs)
    for o in (dls.train, dls.valid, dls.train, dls.test_dl(cut_data())): list(o)

def test_cut_reported_once():
    "One report over all rows: 8 of 48 texts, 4 of 10 tokens of each, 32 of 280"
    messages = cut_warnings(each_batch)
    assert len(messages)==1
    assert re.search(r'8 of 48 texts are longer than `max_length=6`.*11\.4% of all tokens', messages[0])

def test_cut_reported_once_lazy():
    "What is tokenised later is reported when it is seen, and not again"
    messages = cut_warnings(lambda: each_batch(lazy=True))
    assert len(messages)==1 and 'longer than `max_length=6`' in messages[0]

def test_nothing_cut():
    assert cut_warnings(lambda: ToxicityDataLoaders.from_df(cut_data(), tiny_checkpoint(), valid_col='v', bs=8, max_length=10))==[]

# Storage

def test_compact():
    "Ids in 4 bytes, types in 1, no mask"
    ids = raw(tiny_checkpoint(), 64).encode(random_texts())
    assert {k: v.dtype for k,v in ids.arrays.items()}=={'input_ids': np.int32, 'token_type_ids': np.int8}
    assert ids.nbytes==5*ids.lengths.sum()

def test_each_call_gets_its_own(dls):
    "What a training step writes into a batch or a target does not reach the stored rows"
    x,y = dls.valid.one_batch()
    before = y.clone()
    x.zero_()
    y.fill_(0)
    again = dls.valid.one_batch()
    assert torch.equal(again[1], before) and again[0].sum()>0

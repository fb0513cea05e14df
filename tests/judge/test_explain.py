"Explanations: words and their places, completeness, agreement with loops, every architecture, views"
import re
from functools import partial

import numpy as np,pandas as pd,pytest,regex,torch
from fastai.data.all import ColReader,DataBlock,RandomSplitter,RegressionBlock
from fastai.learner import load_learner
from fastai.torch_core import set_seed
from hypothesis import given,settings,strategies as st

from benchmarks import explain as bench
from toxicai.all import *
from toxicai.text.core import located,word_spans
from toxicai.judge.explain import ExplainMethod,explain_network,log_odds,text_logits,token_contributions,way_points,word_scores
from toxicai.judge.explain import blank_token,named_inputs
from toxicai.test_utils import archs,comments,tiny_checkpoint

families = [o for o in archs if o!='pegasus']
text = 'thank you for the quick answer, but you are an idiot'

def tiny_learner(arch='bert', label_cols=('toxic','insult'), text_col='text', df=None, seed=0, **kwargs):
    set_seed(seed)
    dls = ToxicityDataLoaders.from_df(comments(48) if df is None else df, tiny_checkpoint(arch), text_col=text_col, label_cols=list(label_cols) if isinstance(label_cols, tuple) else label_cols,
                                      bs=8, device='cpu', **kwargs)
    return toxicity_learner(dls)

@pytest.fixture(scope='module')
def learn(): return tiny_learner()

def spread(learn, std=1., seed=0):
    "Random weights far from those of a new network, whose outputs hardly depend on the text"
    torch.manual_seed(seed)
    for p in learn.model.parameters():
        if p.ndim>1: torch.nn.init.normal_(p, std=std/p.shape[-1]**0.5)
    return learn

def integrated(learn, text, n=64, label=0, kind='multi'):
    "Contributions of the tokens in `n` steps, and the log-odds of the text and of the blank one"
    enc = text_tfm(learn.dls).encoder
    spans,kept = enc.token_spans(text)
    target,inputs = partial(log_odds, i=label, kind=kind),named_inputs(learn.model, enc, enc.encode([text]), [0])
    res,base = token_contributions(learn.model, inputs, spans[kept,0]>=0, target, blank_token(enc.tok), *way_points(n))
    return res,float(target(text_logits(learn.model, enc, [text]))[0]),base

# Words

@pytest.mark.parametrize('text,expected', {
    "Don't, you *f***ing* $hit-head!!":["Don't",',','you','*f***ing*','$hit-head','!!'], 'a,b;c':['a',',','b',';','c'], 'f.u.c.k off...':['f.u.c.k','off','...'],
    '😂😂 ok👍🏽':['😂😂','ok','👍🏽'], '👩‍💻🇺🇸 x':['👩‍💻🇺🇸','x'], '你好 吗':['你','好','吗'], 'é\u0301a می‌خواهم':['é\u0301a','می‌خواهم'], '"you" (sic)':['"','you','"','(','sic',')'], '':[], ' \n\t\u3000':[],
    'an idiot—you':['an','idiot','—','you'], '@user #Tag http://x.org/a?b=1':['@user','#Tag','http://x.org/a?b=1']}.items())
def test_words(text, expected): assert [text[a:b] for a,b in word_spans(text)]==expected

@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_words_cover(text):
    "Every character that is not blank is in exactly one word"
    inside = [i for a,b in word_spans(text) for i in range(a, b)]
    assert inside==[i for i,o in enumerate(text) if not regex.match(r'\s', o)]

def test_words_are_linear():
    "No quadratic pattern"
    assert len(word_spans('a.'*100_000))==2 and len(word_spans('.'*200_000))==1 and len(word_spans('a!b'*50_000))==1

# Where things are

@pytest.mark.parametrize('typed,normal', {'1d1ot':'idiot', 'i d i o t':'idiot', 'f.u.c.k':'fuck', 'stuuuupid':'stupid', 'ѕһіt':'shit', 'f<b></b>uck':'fuck', 'sh!t':'shit', 'f\u200bu\u200bc\u200bk':'fuck', 'ｆｕｃｋ':'fuck'}.items())
def test_back_through_strict(typed, normal):
    "One word, spelled as it was typed, owns all characters of the normalised one"
    enc,text = TextEncoder(tiny_checkpoint(), rules='strict'),f'oh, {typed}  you said'
    words,(owner,) = located(enc, text)
    assert typed in [text[a:b] for a,b in words]
    at = enc.origins(text)[0].index(normal)
    assert {text[slice(*words[o])] for o in owner[at:at+len(normal)]}=={typed}

def test_emoji_and_hashtags():
    enc,text = TextEncoder(tiny_checkpoint(), rules='social'),'@bob   😂 #BlackCat!!!!!!'
    words,(owner,) = located(enc, text)
    assert [text[a:b] for a,b in words]==['@bob','😂','#BlackCat','!!!!!!']
    assert set(owner)<={-1,0,1,2,3} and set(owner)>={0,1,2,3}

def test_surrogates():
    "Halves that are joined, and lone ones"
    enc,text = TextEncoder(tiny_checkpoint('roberta')),'you \ud83d\ude00 \ud800 idiot'
    norm,starts = enc.origins(text)
    assert norm=='you 😀 \ufffd idiot' and text[starts[norm.index('idiot')]:]=='idiot'
    spans,kept = enc.token_spans(text)
    assert len(kept)==enc.encode([text]).lengths[0]

@pytest.mark.parametrize('arch', ['bert','roberta','xlnet','t5','gpt2','llama'])
@pytest.mark.parametrize('cut', ['head','tail','head_tail'])
def test_token_spans_are_the_tokens(arch, cut):
    "As many as `encode` gives, and the text of each is where it says"
    enc = TextEncoder(tiny_checkpoint(arch), max_length=12, cut=cut)
    for o in ['you are an idiot', 'I disagree, but '*9, '', ('you idiot', 'thank you '*20), 'naïve 😂 ѕһіt']:
        spans,kept = enc.token_spans(o)
        ids = enc.encode([o]).arrays['input_ids']
        assert len(kept)==len(ids) and len(spans)==enc.encode([o]).full[0]
        for i,(part,a,b) in zip(ids, spans[kept]):
            got,want = enc.tok.decode([i]).strip().removeprefix('##'),((o if isinstance(o, str) else o[part])[a:b]).strip().lower()
            assert part<0 or got.lower()==want or '\ufffd' in got or got==enc.tok.unk_token or not want.isascii(), (o, got, want)

# Sums

@pytest.mark.parametrize('arch', families)
@pytest.mark.parametrize('o', [text, ('you idiot', 'thank you for the photo')], ids=['text','pair'])
def test_completeness(arch, o):
    "Contributions add up to the difference of log-odds: to 1e-4 in 64 steps on smooth networks, to 0.03 in 512 past the kinks of a ReLU; special tokens have none"
    df = comments(48).assign(text2='so what')
    learn = spread(tiny_learner(arch, text_col='text' if isinstance(o, str) else ['text','text2'], df=df))
    kinked = arch in ('t5','distilbert')
    res,odds,base = integrated(learn, o, 512 if kinked else 64)
    assert abs(odds-base)>1e-3
    np.testing.assert_allclose(res.sum(), odds-base, atol=0.03 if kinked else 1e-4)
    enc = text_tfm(learn.dls).encoder
    spans,kept = enc.token_spans(o)
    assert (res[spans[kept,0]<0]==0).all()
    e = learn.explain(o, 'toxic')
    assert e.words.word.tolist()[:2]==(['thank','you'] if isinstance(o, str) else ['you','idiot'])
    np.testing.assert_allclose([e.odds,e.base], [odds,base], atol=1e-5)

def test_against_loop(learn):
    "One point after another, by a network that takes vectors instead of ids"
    spread(learn)
    enc,model = text_tfm(learn.dls).encoder,learn.model.eval()
    inputs = named_inputs(model, enc, enc.encode([text]), [0])
    emb,ids = model.get_input_embeddings(),inputs['input_ids']
    own = emb(ids).detach()
    base = torch.where(((ids==enc.tok.cls_token_id)|(ids==enc.tok.sep_token_id))[...,None], own, emb(torch.tensor([[blank_token(enc.tok)]])).detach())
    x,w = np.polynomial.legendre.leggauss(16)
    total = torch.zeros_like(own)
    for a,b in zip((x+1)/2, w/2):
        point = (base+float(a)*(own-base)).requires_grad_()
        model(inputs_embeds=point, **{k:v for k,v in inputs.items() if k!='input_ids'}).logits[0,1].backward()
        total += float(b)*point.grad
    res,_,_ = integrated(learn, text, 16, 1)
    np.testing.assert_allclose(res, (total*(own-base)).sum(-1)[0].numpy(), atol=1e-5)
    model.zero_grad()

def test_word_scores_by_loop():
    "Characters one by one, with tokens over several words, blanks inside tokens, and a cut"
    rng = np.random.default_rng(0)
    for _ in range(50):
        owners = [np.sort(rng.integers(-1, 4, 12)),np.sort(rng.integers(-1, 3, 7))]
        owners[1][owners[1]>=0] += 4
        spans = np.array([[-1,0,0]]+[[p,*sorted(rng.integers(0, len(o)+1, 2))] for p,o in enumerate(owners) for _ in range(5)]+[[-1,0,0]])
        kept = np.sort(rng.choice(len(spans), 8, replace=False))
        contribs,want,read,seen = rng.normal(size=8),np.zeros(7),set(),set()
        for t,(p,a,b) in enumerate(spans):
            own = [int(o) for o in owners[p][a:b] if o>=0] if p>=0 else []
            seen |= set(own)
            if t in kept: read |= set(own)
            for o in own:
                if t in kept: want[o] += contribs[list(kept).index(t)]/len(own)
        want[list(seen-read)] = np.nan
        np.testing.assert_allclose(word_scores(contribs, spans, kept, owners, 7), want, atol=1e-12)

@pytest.mark.parametrize('kind', ['single','ordinal','multi'])
def test_log_odds(kind):
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = logits.softmax(1) if kind!='multi' else logits.sigmoid()
    np.testing.assert_allclose(log_odds(logits, 1, kind), (p[:,1]/(1-p[:,1])).log(), atol=1e-12)

def test_way_points():
    "Exact for polynomials of degree 2n-1"
    for n in (1,2,5,16):
        x,w = way_points(n)
        np.testing.assert_allclose([(w*x**k).sum() for k in range(2*n)], [1/(k+1) for k in range(2*n)], atol=1e-12)

def test_occlusion_by_hand(learn):
    "One prediction after another, on a text whose words are deleted by hand"
    e = spread(learn).explain('you are an idiot', 'insult', 'occlusion')
    odds = lambda t: float(torch.logit(torch.tensor(learn.classify(t).insult[0], dtype=torch.float64)))
    want = [odds('you are an idiot')-odds(o) for o in ('are an idiot','you an idiot','you are idiot','you are an ')]
    np.testing.assert_allclose(e.words.score, want, atol=1e-4)
    assert np.isnan(e.base)

def test_a_word_that_decides():
    "A network that only counts one token: all methods give that word all, integrated gradients exactly"
    learn = tiny_learner()
    enc = text_tfm(learn.dls).encoder
    class Counter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = torch.nn.Embedding(len(enc.tok), 2)
            torch.nn.init.zeros_(self.emb.weight)
            self.emb.weight.data[enc.tok.convert_tokens_to_ids('idiot'),0] = 3.
        def get_input_embeddings(self): return self.emb
        def forward(self, input_ids, attention_mask): return (self.emb(input_ids)*attention_mask[...,None]).sum(1)
    learn.model = Counter()
    for method in explain_methods:
        np.testing.assert_allclose(learn.explain('you idiot, IDIOT', 'toxic', method).words.score, [0,3,0,3], atol=1e-6)
        assert not np.any(learn.explain('you idiot', 'insult', method).words.score)

# Odd texts

@pytest.mark.parametrize('method', explain_methods)
@pytest.mark.parametrize('o', ['', ' \n', '\u200b', '.', 'x'*3000, 'שלום עליכם', '<script>alert(1)</script>', '😂', 'a\x00b', '\ud800', '[MASK] [SEP]'])
def test_odd_texts(learn, method, o):
    e = learn.explain(o, 'toxic', method)
    assert len(e.words)==len(word_spans(o)) and 0<=e.score<=1 and np.isfinite(e.words.score).all()
    assert '<script>' not in e._repr_html_() and repr(e)
    assert [o.replace('\ud800', '\ufffd')[a:b] for a,b in zip(e.words.start, e.words.end)]==e.words.word.tolist()

@pytest.mark.parametrize('method', explain_methods)
@pytest.mark.parametrize('cut', ['head','tail'])
def test_long_text(method, cut):
    "What is beyond the limit is NaN, and said; what is read is not"
    learn = tiny_learner(max_length=10, cut=cut)
    e = learn.explain('you are an idiot '*5, 'toxic', method)
    read = ~e.words.score.isna().to_numpy()
    assert read.tolist()==([True]*8+[False]*12)[::1 if cut=='head' else -1]
    assert '12 of 20 words' in repr(e) and '12 of 20 words' in e._repr_html_() and e.n_cut==12
    assert all(a>=e.words.start[read.argmax()] for a,_ in e.spans(-np.inf)) and len(e.spans(-np.inf))==1

def test_many_tokens_in_chunks(learn):
    "A text of 128 tokens takes more than one pass; the sum is the same"
    e = spread(learn).explain('you are an idiot '*40, 'toxic')
    res,*_ = integrated(learn, 'you are an idiot '*40, 16)
    np.testing.assert_allclose(e.words.score.sum(), res.sum(), atol=1e-4)

def test_pairs():
    "Offsets are those of the joined text; a span never reaches over the gap"
    learn = tiny_learner(text_col=['text','text2'], df=comments(48).assign(text2='so what'))
    for method in explain_methods:
        e = learn.explain(('you idiot','thank you'), 'toxic', method)
        assert e.text=='you idiot\n‖ thank you' and e.words.word.tolist()==['you','idiot','thank','you']
        assert e.spans(-np.inf)==[(0,9),(12,21)] and np.isfinite(e.words.score).all()

@pytest.mark.parametrize('kw', [dict(label_cols='label'), dict(label_cols=('toxic','insult'))], ids=['single','multi'])
def test_score_is_the_probability(kw):
    "That of `classify`, for the label that is named and for the likeliest"
    learn = tiny_learner(**kw)
    p = learn.classify(text).drop(columns='text').iloc[0]
    for label in p.index: assert abs(learn.explain(text, label, 'gradients').score-p[label])<1e-6
    assert learn.explain(text, method='gradients').label==p.astype(float).idxmax()
    e = learn.explain(text, p.index[0])
    assert abs(1/(1+np.exp(-e.odds))-e.score)<1e-6

def test_regression():
    dls = DataBlock((TransformerTextBlock(tiny_checkpoint()),RegressionBlock), get_x=ColReader('text'), get_y=ColReader('toxic'), splitter=RandomSplitter(seed=0)).dataloaders(comments(48), bs=8, device='cpu')
    learn = toxicity_learner(dls)
    e = learn.explain(text)
    assert e.label=='score' and abs(e.score-e.odds)<1e-6 and len(e.words)==len(word_spans(text))

# The learner stays as it was

def test_leaves_no_trace(learn, tmp_path):
    learn.model.train()
    before = {k:v.clone() for k,v in learn.model.state_dict().items()}
    learn.model.zero_grad()
    with torch.no_grad(): learn.explain(text, 'toxic')
    assert learn.model.training and all(p.grad is None for p in learn.model.parameters())
    assert not any(m._forward_hooks for m in learn.model.modules()) and all(torch.equal(v, before[k]) for k,v in learn.model.state_dict().items())
    learn.path = tmp_path
    learn.export()
    np.testing.assert_allclose(load_learner(tmp_path/'export.pkl').explain(text, 'toxic').words.score, learn.explain(text, 'toxic').words.score, atol=1e-6)

def test_hook_is_gone_after_an_error(learn, monkeypatch):
    monkeypatch.setattr(learn.model.bert.encoder, 'forward', lambda *a, **k: 1/0)
    with pytest.raises(ZeroDivisionError): learn.explain(text)
    assert not learn.model.get_input_embeddings()._forward_hooks

def test_bad_input(learn, monkeypatch):
    for o in (3, None, ['a'], ['a','b','c'], {'input_ids':[1]}, ('a',1)):
        with pytest.raises(TypeError, match='expected one text'): learn.explain(o)
    with pytest.raises(ValueError, match="'shap'"): learn.explain('a', method='shap')
    with pytest.raises(KeyError, match='no class'): learn.explain('a', 'spam')
    monkeypatch.setattr(type(text_tfm(learn.dls).encoder.tok), 'is_fast', False)
    with pytest.raises(ValueError, match="method='occlusion'"): learn.explain('a')
    assert np.isfinite(learn.explain('you are an idiot', method='occlusion').words.score).all()

def test_own_network():
    "One that hides its embeddings can be explained by occlusion alone"
    learn = tiny_learner()
    class Own(torch.nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body = body
        def forward(self, input_ids, attention_mask): return self.body(input_ids=input_ids, attention_mask=attention_mask).logits
    learn.model = Own(learn.model)
    with pytest.raises(ValueError, match='no `get_input_embeddings`'): learn.explain(text)
    assert np.isfinite(learn.explain(text, method='occlusion').words.score).all()
    learn.model.get_input_embeddings = lambda: torch.nn.Embedding(400, 32)
    with pytest.raises(ValueError, match='does not read these tokens'): learn.explain(text)

def test_without_a_learner(learn):
    "A network, an encoder and any function of logits: what the learner's verb gives"
    enc,target = text_tfm(learn.dls).encoder,partial(log_odds, i=1, kind='multi')
    a,b = explain_network(learn.model, enc, text, target, 'insult'),learn.explain(text, 'insult')
    np.testing.assert_allclose(a.words.score, b.words.score, atol=1e-6)
    assert (a.label,a.method,a.words.word.tolist())==('insult','integrated',b.words.word.tolist()) and abs(a.odds-b.odds)<1e-6
    half = explain_network(learn.model, enc, text, lambda logits: target(logits)/2, 'insult')
    np.testing.assert_allclose(half.words.score, b.words.score/2, atol=1e-6)

def test_method_from_outside(learn, monkeypatch):
    "A line in the table is a method: known to the learner, and asked for only what it needs"
    by_length = lambda model, enc, text, target: (np.array([float(b-a) for a,b in word_spans(text)]),0.)
    monkeypatch.setitem(explain_methods, 'length', ExplainMethod(by_length))
    monkeypatch.setattr(type(text_tfm(learn.dls).encoder.tok), 'is_fast', False)
    assert learn.explain('you idiot', 'toxic', 'length').words.score.tolist()==[3,5]
    with pytest.raises(ValueError, match="'integrated', 'occlusion', 'length'"): learn.explain('a', method='shap')

# Views

def explanation(text, scores, **kwargs):
    spans = word_spans(text)
    words = pd.DataFrame(dict(word=[text[a:b] for a,b in spans], start=[a for a,_ in spans], end=[b for _,b in spans], score=scores))
    return Explanation(text, 'toxic', 0.9, words, 'integrated', 2., -1., **kwargs)

def test_spans():
    e = explanation('a b  c, d e', [1,2,0.5,3,1,np.nan])
    assert e.spans(1)==[(0,3),(6,9)] and e.spans(0.5)==[(0,9)] and e.spans(2.5)==[(6,7)] and e.spans(4)==[]

def test_marks():
    e = explanation('you utter idiot', [-0.1,-1.,2.])
    assert repr(e)=='toxic 0.90, integrated: you [utter -1.0] [idiot +2.0]'

def colours(html): return re.findall(r'background:(#\w{6});color:#000;border-radius:3px;padding:1px" title="([+-][\d.]+)"', html)

def test_html():
    "Escaped; red for, blue against; legible; pale below a thousandth"
    h = explanation('x<y & "idiot"', [0.,0,-1,0,0,3,0])._repr_html_()
    assert 'x<y' not in h and '&lt;' in h and '&amp;' in h
    (blue,_),(red,_) = sorted(colours(h), key=lambda o: float(o[1]))
    rgb = lambda o: [int(o[i:i+2], 16) for i in (1,3,5)]
    assert rgb(red)[0]>rgb(red)[2] and rgb(blue)[2]>rgb(blue)[0]
    for c in re.findall('background:(#.{6})', h): # https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio, against black
        lin = [o/3294.6 if o<=10 else ((o/255+0.055)/1.055)**2.4 for o in rgb(c)]
        assert (0.2126*lin[0]+0.7152*lin[1]+0.0722*lin[2]+0.05)/0.05>4.5
    assert not colours(explanation('you there', [1e-5,-1e-5])._repr_html_())

@pytest.mark.parametrize('scale', [1,0.1,0.02])
def test_words_differ(scale):
    "The colours are those of the same text under a stronger network; the numbers say how weak this one is"
    strong,e = explanation('you utter fool', [1.,-2.,4.]),explanation('you utter fool', [scale,-2*scale,4*scale])
    assert [o for o,_ in colours(e._repr_html_())]==[o for o,_ in colours(strong._repr_html_())]
    assert f'the strongest word {4*scale:.2g}, odds x' in e._repr_html_()
    assert repr(e).count('[')==3

def test_mask():
    e = explanation('you idiot', [0.,2.], mask=True)
    assert 'idiot' not in repr(e)+e._repr_html_() and 'i***t' in repr(e) and e.spans(1)==[(4,9)]
    shown = tiny_learner().explain('you idiot', 'toxic', mask=True)
    assert 'idiot' not in shown.words.word.tolist() and shown.text=='you idiot'

# The figures of the benchmark

def test_span_f1():
    assert bench.span_f1(set(), set())==1 and bench.span_f1({1}, set())==0==bench.span_f1(set(), {1})
    assert bench.span_f1({1,2,3}, {2,3,4,5})==pytest.approx(2*(2/3)*(2/4)/(2/3+2/4))

def test_token_chars():
    t = 'ab c def g'
    assert ''.join(o if i in bench.token_chars(t.split(), [1,1,0,1]) else '.' for i,o in enumerate(t))=='ab c.....g'

def test_best_cut():
    found = [explanation('a bb c', [0.,3,1]),explanation('dd e', [2.,0.5])]
    golds = [{2,3},{0,1}]
    cut = bench.best_cut(found, golds)
    assert 1<cut<=2 and bench.mean_f1(found, golds, cut)==1

def test_faithfulness():
    "A function that counts one word: all is lost without it, nothing with it alone; the reverse for the reverse ranking"
    f = lambda ts: [float('idiot' in o) for o in ts]
    text = ' '.join(['idiot']+list('abcdefghi'))
    good,bad = [explanation(text, s).words for s in (np.r_[1.,np.zeros(9)], np.r_[-1.,np.zeros(9)])]
    assert bench.faithfulness(f, [text], [good], 0)==(1,0) and bench.faithfulness(f, [text], [bad], 0)==(0,1)
    asked = bench.with_and_without(text, good, np.random.default_rng(0))
    assert [len(o.split()) for o in asked]==[9,1,9,1,9,1,8,2,5,5]

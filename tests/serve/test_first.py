"The first stage: the same numbers in any company, an error that is what it says, a file that a stranger cannot use"
import json,pickle,shutil
from dataclasses import replace

import numpy as np,pytest
from hypothesis import given,settings,strategies as st
from toxicai.all import *
from toxicai.serve.detector import hub_files
from toxicai.serve.first import *
from toxicai.serve.folder import change_meta,check_files,relist_files
from toxicai.stored import StoredTensors,stored_arrays,tensor_file
from toxicai.test_utils import *

words = st.text(st.characters(exclude_categories=['Cs']), max_size=30)
table = np.random.default_rng(0).normal(size=(2**12,3)).astype(np.float32)

def found_words(text):
    "Words as a regular expression over bytes finds them"
    import re
    lower = bytes(o+32 if 65<=o<=90 else o for o in text.encode())
    return re.findall(rb"[a-z0-9'\x80-\xff]+", lower)

def hash_by_hand(word):
    "The number of a word, letter by letter"
    return sum((o+1)*pow(0x9E3779B97F4A7C15|1, i, 2**64) for i,o in enumerate(word)) % 2**64

def by_hand(text, w):
    "What a text gets, computed word by word"
    bits,rows,hs = len(w).bit_length()-1,set(),[hash_by_hand(o) for o in found_words(text)]
    for i in range(len(hs)):
        a,b,c = (hs+[0,0])[i:i+3]
        rows |= {(h*0xD6E8FEB86659FD93 & (2**64-1)) >> (64-bits) for h in (a, 3*a+b, 5*(3*a+b)+c)}
    return w[sorted(rows)].sum(0)/np.sqrt(max(1, len(rows)))

@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=6))
def test_sums(texts):
    "Every text as by hand, whatever stands beside it; fp32 sums of some hundred numbers"
    got = hashed_texts(texts, 12).sums(table)
    np.testing.assert_allclose(got, [by_hand(o, table) for o in texts], atol=2e-3)

@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=6))
def test_words(texts):
    "As many words as a regular expression over bytes finds, and equal ones have equal numbers"
    h = hashed_texts(texts, 12)
    found = [found_words(o) for o in texts]
    assert np.diff(h.bounds).tolist()==[len(o) for o in found]
    assert len({o for os in found for o in os})==len(set(h.words.tolist()))

def test_sums_and_spread():
    "Of shared rows, in chunks too, with texts that have no words: as by a matrix"
    texts,rng = ['you are an idiot','thank you','','x y z','!?','you are an idiot'],np.random.default_rng(1)
    chunks,v = [hashed_texts(texts[:3], 12),hashed_texts(texts[3:], 12)],rng.normal(size=(6,2)).astype(np.float32)
    dense,shared = hashed_texts(texts, 12).sums(np.eye(2**12, dtype=np.float32)),SharedRows(chunks, 2**12)
    dense,w = dense[:,shared.there],rng.normal(size=(len(shared.there),3)).astype(np.float32)
    np.testing.assert_allclose(shared.spread(v), dense.T@v, atol=1e-5)
    np.testing.assert_allclose(shared.sums(w), dense@w, atol=1e-5)
    assert sorted(shared.counts.tolist())==sorted((hashed_texts(texts, 12).sums(np.eye(2**12, dtype=np.float32))>0).sum(0)[shared.there].tolist())

def test_solved_like_numpy():
    rng = np.random.default_rng(2)
    x,y = rng.normal(size=(80,12)),rng.normal(size=(80,3))
    a = x.T@x+.5*np.eye(12)
    np.testing.assert_allclose(solved(lambda o: a@o, x.T@y, 30), np.linalg.solve(a, x.T@y), atol=1e-8)
    assert np.isfinite(solved(lambda o: a@o, np.zeros((12,3)), 5)).all() # nothing to learn

def test_learns_the_order_of_the_harmless():
    "Logits are learnt, so that texts far below any threshold stay in the network's order"
    rng = np.random.default_rng(3)
    vocabulary,each = [f'word{i}' for i in range(40)],rng.normal(size=40)
    picked = rng.integers(0, 40, (1500,6))
    texts,logits = [' '.join(vocabulary[k] for k in o) for o in picked],(each[picked].mean(1)-6)[:,None]
    got,_ = fit_first(texts[:1000], logits[:1000], bits=14, shrink=.001)(texts[1000:])
    assert np.corrcoef(got[:,0], logits[1000:,0])[0,1]>.9 and got.max()<-3

def test_held_out_rows():
    "Those that are named are measured with and not learnt from"
    texts,logits = comments(400).text.tolist(),np.full((400,2), -5.)
    held = np.arange(400)%4==0
    texts[0],logits[0] = 'neverlearnt neverlearnt',3
    stage = fit_first(texts, logits, bits=12, held_out=held)
    np.testing.assert_array_equal(stage.theirs, logits[held])
    assert not stage.readable[0] and len(stage.own)==100

def test_reach():
    "It reads no further than the network"
    stage = fit_first(comments(400).text, np.random.default_rng(0).normal(size=(400,2)), bits=12, reach=30)
    text = comments(400).text[0][:30].ljust(30)
    np.testing.assert_array_equal(stage([text+' you idiot'])[0], stage([text+' thank you'])[0])

labels = LabelSet(['toxic','insult'])

def stage_of(n=4000, wrong=0, seed=0):
    "A first stage whose held-out logits are known: `wrong` of the `n` that look harmless are not"
    rng = np.random.default_rng(seed)
    own = -6+rng.normal(size=(n,2)).astype(np.float32)
    theirs = own.copy()
    theirs[rng.permutation(n)[:wrong],0] = 3
    stage = new_first(2, 12)
    stage.own,stage.theirs,stage.readable = own,theirs,np.ones(n, dtype=bool)
    return stage

@pytest.mark.parametrize('wrong,bound,share', [(0,.001,1.), (0,.0005,0.), (2,.001,.8), (40,.001,.25), (40,.02,1.), (400,.01,.01)])
def test_cut(wrong, bound, share):
    "With more errors, or a smaller bound, fewer are answered; the error rate among them, 95 % sure, is below the bound"
    stage = stage_of(wrong=wrong)
    cut = stage.cut_for(labels, bound)
    near = nearness(labels, stage.own)
    alone = near<=cut
    seen = int((stage.theirs[alone]>0).any(1).sum())
    assert alone.mean()<=share+.2 and (share<.5 or alone.mean()>.4)
    if alone.any(): assert most_errors(seen)<=bound*alone.sum()

@pytest.mark.parametrize('k,upper', [(0,3.0), (1,4.74), (2,6.30), (5,10.51), (10,16.96), (50,63.3)])
def test_upper_end(k, upper):
    "Not below the exact Poisson interval (one-sided 95 %), and at most 0.4 above it"
    assert upper-.05<=most_errors(k)<=upper+.4

def test_other_thresholds_move_the_cut():
    "A text that a lower threshold flags is not answered"
    stage = stage_of(n=8000)
    low = LabelSet(['toxic','insult'], thresholds=(.002,.5))
    stage.theirs[:] = stage.own
    near = nearness(low, stage.own)
    assert stage.cut_for(low, .01)<0 and not (labels.flags(labels.probs(stage.own))).any()
    assert low.flags(low.probs(stage.own[near<=stage.cut_for(low, .01)])).sum()==0

def test_learns():
    "What the network says of comments is learnt from its answers alone"
    df = comments(480)
    network = np.stack([df.toxic, df.insult], 1)*8.-5
    stage = fit_first(df.text, network, bits=14)
    got,_ = stage(df.text.tolist())
    assert ((got>-1)==(network>-1)).mean()>.97

@pytest.mark.parametrize('text', ['', ' ', '?!...', '😀😀', 'zzyx qwop blarg', 'thank '*4000])
def test_unreadable(text):
    stage = fit_first(comments(400).text, np.full((400,2), -5.), bits=12)
    assert not stage([text])[1][0] and stage(['thank you'])[1][0]

def test_threads():
    "Chunks judged at the same time are the same"
    stage,texts = fit_first(comments(400).text, np.full((400,2), -5.), bits=12),comments(9000).text.tolist()
    for a,b in zip(stage(texts, 1), stage(texts, 3)): np.testing.assert_array_equal(a, b)

def test_surrogates(): assert len(fit_first(comments(400).text, np.full((400,2), -5.), bits=12)(['half \ud800 a pair'])[0])==1

# In a folder

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8)
    path = toxicity_learner(dls, seed=1).save_detector(tmp_path_factory.mktemp('first')/'bert')
    d = Detector(path, 'torch')
    d.labels = d.labels.with_thresholds(.9) # an untrained network flags nothing then
    d.add_first(comments(2000).text, bits=12)
    return path

high = .9

def detector(folder, **kwargs):
    found = read_folder(folder)
    return Detector(replace(found, labels=found.labels.with_thresholds(high)), 'torch', **kwargs)

some = ['you are an idiot','thank you','','привет','thank you '*300]

def test_answers(folder):
    "What it answers has no flag, what it does not is the network's; in lists, in streams, alone"
    one,two = detector(folder),detector(folder, first=.05)
    a,b = one(some, 'all'),two(some, 'all')
    assert b.by_first.tolist()==[True,True,False,False,True] and a.by_first is None
    rest = ~b.by_first
    np.testing.assert_allclose(a.logits[rest], b.logits[rest], atol=1e-5)
    assert a.n_tokens.tolist()==b.n_tokens.tolist() and a.truncated.tolist()==b.truncated.tolist()
    assert (a.flags==b.flags).all() and np.abs(a.scores-b.scores).max()<.2
    np.testing.assert_allclose(np.concatenate([o.scores for o in two.iter(some)]), b.scores, atol=1e-6)
    np.testing.assert_allclose(two.scores(some[0])[0], b.scores[0], atol=1e-6)
    assert len(two([]))==0

def test_off_by_default(folder):
    assert Detector(folder, 'torch').first is None and 'first stage' not in Detector(folder, 'torch').why

def test_thresholds_in_force(folder):
    "A cut is found for thresholds that are set later"
    d = detector(folder, first=.05)
    assert d(some, 'all').by_first.any()
    d.labels = d.labels.with_thresholds(.05) # the network flags everything
    res = d(some, 'all')
    assert not res.by_first.any() and res.flags.all()

def test_pickled(folder):
    d = pickle.loads(pickle.dumps(Detector(folder, 'torch', first=.05)))
    assert d.bound==.05 and d.first is not None

@pytest.mark.parametrize('first,match', [('on', "`first` is 'on'"), (2., '`first` is 2.0'), (True, '`first` is True'), (0., '`first` is 0.0')])
def test_bad_argument(folder, first, match):
    with pytest.raises(ValueError, match=match): Detector(folder, 'torch', first=first)

@pytest.mark.parametrize('asked', [0., .5, '0.001', None, True])
def test_bad_asked(folder, tmp_path, asked):
    shutil.copytree(folder, tmp_path/'d')
    facts = read_folder(tmp_path/'d').first
    change_meta(tmp_path/'d', first={**facts, 'asked':asked})
    with pytest.raises(FolderError, match="'asked'.*expected a number above 0"): Detector(tmp_path/'d', first='auto')
    assert Detector(tmp_path/'d', first=.001).bound==.001

def test_none_there(folder, tmp_path):
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8)
    plain = toxicity_learner(dls, seed=1).save_detector(tmp_path/'plain')
    assert 'no first stage' in Detector(plain, 'torch', first='auto').why
    with pytest.raises(ValueError, match='has no \'first.safetensors\''): Detector(plain, 'torch', first=.01)

@pytest.mark.parametrize('cols,kind', [('label','single'), (['text','other'],'pairs')])
def test_not_for(tmp_path, cols, kind):
    df = comments().assign(other='thank you')
    args = dict(text_col='text', label_cols='label') if kind=='single' else dict(text_col=['text','other'], label_cols=['toxic','insult'])
    path = toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), bs=8, **args)).save_detector(tmp_path/'d')
    with pytest.raises(ValueError, match='exclude each other' if kind=='single' else 'reads single texts'): Detector(path, 'torch').add_first(df.text)

def test_noted(folder):
    "The folder lists the file and says what it was compared on"
    found = read_folder(folder)
    assert found.first['compared']==400 and first_file in found.files and found.first['differing']<=found.first['answered']

# A stranger's file

def good(): return stage_of(n=40).to_bytes()

def damaged(name):
    "Contents that are no first stage for two classes"
    arrays = dict(bias=np.zeros(2, np.float32), weights=np.zeros((2**12,2), np.int8), step=np.ones(2, np.float32), own=np.zeros((9,2), np.float16),
                  theirs=np.zeros((9,2), np.float16), known=np.zeros(2**10, np.uint8), readable=np.zeros(9, np.uint8))
    change = dict(three=dict(bias=np.zeros(3, np.float32)), odd=dict(weights=np.zeros((3000,2), np.int8)), nan=dict(bias=np.full(2, np.nan, np.float32)),
                  short=dict(own=np.zeros((8,2), np.float16)), more=dict(code=np.zeros(4, np.uint8)), words=dict(known=np.zeros(1000, np.uint8)),
                  inf=dict(step=np.full(2, np.inf, np.float32)), wide=dict(weights=np.zeros((2**12,2), np.float16)), type=dict(bias=np.zeros(2, np.uint8)), none={})[name]
    return tensor_file({**arrays, **change})

@pytest.mark.parametrize('name', ['three','odd','nan','short','more','words','inf','wide','type','cut','long','pickle','empty'])
def test_hostile(folder, tmp_path, name):
    import shutil
    there = shutil.copytree(folder, tmp_path/'d')
    whole = good()
    (there/first_file).write_bytes(dict(cut=whole[:-5], long=whole+b'0', pickle=pickle.dumps(print), empty=b'').get(name) if name in ('cut','long','pickle','empty') else damaged(name))
    with pytest.raises(FolderError, match='SHA-256'): check_files(read_folder(there))
    relist_files(there) # as a stranger would
    with pytest.raises(FolderError): read_first(read_folder(there))

def test_good_one(folder, tmp_path):
    import shutil
    there = shutil.copytree(folder, tmp_path/'d')
    (there/first_file).write_bytes(damaged('none'))
    relist_files(there)
    assert len(read_first(read_folder(there)).own)==9

def test_link_out(folder, tmp_path):
    import shutil
    there = shutil.copytree(folder, tmp_path/'d')
    (tmp_path/'secret').write_bytes(good())
    (there/first_file).unlink()
    (there/first_file).symlink_to(tmp_path/'secret')
    with pytest.raises(FolderError, match='leads out'): read_first(read_folder(there))

def test_round_trip(tmp_path):
    "What is stored is what was compared"
    stage = fit_first(comments(400).text, np.stack([comments(400).toxic, comments(400).insult], 1)*8.-5, bits=12)
    path = tmp_path/first_file
    path.write_bytes(stage.to_bytes())
    from safetensors.numpy import load_file
    assert set(load_file(path))==set(first_kinds(2, 12, 40, 2**17)) # as the library of the format reads it
    with open(path, 'rb') as f: found = stored_arrays(StoredTensors(f, first_file))
    np.testing.assert_array_equal(from_steps(found['weights'], found['step']), stage.weights)

def test_download_has_it(): assert first_file in hub_files()

# The one in the box

def test_packaged():
    "It answers plain ones alone, gives no flag of its own, and leaves the rest to the network; off unless asked for"
    texts = ['Thanks, I will look into it tomorrow.','Please see the talk page of the article.','You are a stupid idiot.','','😀','ты дурак']
    one,two = Detector(),Detector(first='auto')
    a,b = one(texts, 'all'),two(texts, 'all')
    assert one.first is None and b.by_first.tolist()==[True,True,False,False,False,False]
    assert (a.flags==b.flags).all() and not b.flags[b.by_first].any()
    np.testing.assert_allclose(a.scores[~b.by_first], b.scores[~b.by_first], atol=.05) # int8: what stands beside a text counts
    facts = two.folder.first
    assert facts['compared']>8000 and facts['answered']>.45*facts['compared']
    assert most_errors(facts['differing'])<=facts['bound']*facts['answered'] and 1-facts['differing']/facts['compared']>=.999
    assert two.bound==facts['asked']<=facts['bound'] and f"{facts['asked']:.2%}" in two.why

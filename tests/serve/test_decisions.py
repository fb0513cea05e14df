"Word lists, policies and uses: what is found where, what is refused, and what a detector makes of it"
import json,pickle,random
from dataclasses import replace
from pathlib import Path

import numpy as np,pytest,torch
from hypothesis import example,given,settings,strategies as st
from toxicai.labels import LabelSet
from toxicai.serve.decisions import *
from toxicai.serve.detector import Detections,Detector
from toxicai.serve.folder import read_folder
from toxicai.serve.routes import plain_rows
from toxicai.text.core import without
from toxicai.text.masking import undisguising_rules
from toxicai.train.all import *
from toxicai.data.all import ToxicityDataLoaders
from toxicai.test_utils import *

names = LabelSet(['toxic','insult','threat'])

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    torch.manual_seed(0)
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8)
    return toxicity_learner(dls).save_detector(tmp_path_factory.mktemp('decisions')/'rude')

@pytest.fixture(scope='module')
def d(folder): return Detector(folder, 'torch', threads=1)

# Borders and offsets

letters = st.text('aäßéIİıſ1_-\'*+#@. \t\n\u200b\u200d\u0301笨ก👩🚒', min_size=1, max_size=8)
words_of = st.lists(letters.filter(word_key), min_size=1, max_size=6)

@settings(max_examples=300, deadline=None)
@given(words_of, st.text(max_size=40), st.randoms(use_true_random=False))
def test_own_words_are_found(words, text, rng):
    "A word between blanks is found, wherever it stands and however it is written"
    o = rng.choice(words)
    shown = rng.choice([o, o.upper(), o.title(), o.swapcase()])
    if word_key(shown)!=word_key(o): shown = o # capitals of one letter may be those of another
    whole = f'{text} {shown} {text}'
    at = len(text)+1
    assert any(a<at+len(shown) and at<b for a,b,_ in WordList(words).spans(whole, disguised=False)), whole

@settings(max_examples=300, deadline=None)
@given(words_of, st.text('aäßéI1_-\'*+ \n\u200b\u200d\u0301笨ก👩🚒sS', max_size=40))
def test_spans_lead_back(words, text):
    "In order, apart, within the text; what stands there is a word of the list; nothing is found within a word"
    found = WordList(words).spans(text, disguised=False)
    assert all(a<b for a,b,_ in found) and all(x[1]<=y[0] for x,y in zip(found, found[1:]))
    for a,b,word in found:
        assert 0<=a<b<=len(text) and word.strip() in [o.strip() for o in words]
        assert word_key(word) in word_key(text[a:b])
        if text.isascii() and word[:1].isalpha() and word[-1:].isalpha():
            assert not text[max(a-1, 0):a].isalpha() and not text[b:b+1].isalpha()

@settings(max_examples=200, deadline=None)
@given(st.lists(st.text('abS1', min_size=1, max_size=4), min_size=1, max_size=5), st.text('abS1 .', max_size=30))
def test_like_a_simple_search(words, text):
    "In ASCII: a word counts where no letter stands beside a letter of its ends, nor a letter or digit beside a digit"
    def is_free(a, b):
        def _joins(inner, outer): return outer.isalpha() or (inner.isdigit() and outer.isdigit())
        return not (_joins(text[a], text[max(a-1, 0):a]) or _joins(text[b-1], text[b:b+1]))
    expected = any(text.lower().startswith(w.lower(), i) and is_free(i, i+len(w)) for w in words for i in range(len(text)))
    assert bool(plain_hits(WordList(words), text))==expected

@settings(max_examples=200, deadline=None)
@given(st.text('aßİ\u0307ẞ \n\t\x85\u2028\u3000', max_size=30)|st.text(max_size=60))
@example('İ\u0307ß  \x85\u2028ẞ')
def test_folding_keeps_offsets(text):
    new,starts = folded(text)
    assert len(starts)==len(new)+1 and starts[-1]==len(text) and list(starts)==sorted(starts) and folded(new)[0]==new

@pytest.mark.parametrize('word,text,found', [
    ('ass', 'assess the class, ASS!', ['ASS']), ('Scheiße', 'SCHEISSE, scheiße, ＳＣＨＥＩＳＳＥ', ['SCHEISSE','scheiße','ＳＣＨＥＩＳＳＥ']),
    ('white trash', 'white\n trash and whitetrash', ['white\n trash']), ('idiot', 'id\u200biot &#105;diot', ['id\u200biot','&#105;diot']),
    ('idiot', 'you 1d10t, i.d.i.o.t, idiots', ['1d10t','i.d.i.o.t']), ('#metoo', '#MeToo #metoos', ['#MeToo']), ('88', '1988 88', ['88']),
    ('👩', '👩‍🚒 👩🏽 👩', ['👩']), ('笨蛋', '你是笨蛋', ['笨蛋']), ("d'oh", "D'OH!", ["D'OH"]), ('c++', 'C++, c+', ['C++']),
    ('é', 'cafe\u0301 e\u0301', ['e\u0301']), ('كلب', 'كلب وكلبي', ['كلب']), ('fuck', 'fuckyou', ['fuck']), ('ibne', 'İBNE', ['İBNE'])])
def test_found(word, text, found): assert [text[a:b] for a,b,_ in WordList([word]).spans(text)]==found

def test_allowed_is_careful():
    "No disguise, no piece of a longer word; the insult beside it stays"
    words = WordList(['Scunthorpe','you'])
    for text in ('Scunth0rpe', 'fuckyou', 'xScunthorpe'): assert allowed_spans(words, text)==[]
    assert Decider(allow=words).reading(['you idiot of Scunthorpe'])[0]==['idiot of ']
    assert Decider(allow=words).reading([('you','idiot you')])[0]==[('','idiot ')]

def test_block_wins_over_allow(d):
    res = d.with_settings(block=['idiot'], allow=['idiot'])(['an idiot', 'fine'])
    assert res.decisions[0]=='block' and [o['kind'] for o in res.reasons[0]][:2]==['block','allow']

def test_many_words():
    "A long list is one pattern"
    rng = random.Random(0)
    words = [''.join(rng.choices('abcdefghij', k=8)) for _ in range(20_000)]
    some = WordList(words)
    assert [o[2] for o in some.spans(f'x {words[7]} y {words[19_999].upper()}')]==[words[7],words[19_999]]

# Lists and policies as files

@pytest.mark.parametrize('data,error', [(b'a\n\xff\xfe', 'line 2 of'), (b'x'*201, 'word 0 of the list'), (b'\xe2\x80\x8b\n', 'word 0'), (b'a\n'*2**22+b'b', 'more than')])
def test_hostile_lists(tmp_path, data, error):
    (tmp_path/'w.txt').write_bytes(data)
    with pytest.raises(ValueError, match=error): WordList.read(tmp_path/'w.txt')

def test_not_a_file(tmp_path):
    for f in (WordList.read, Policy.read):
        with pytest.raises(ValueError, match='not a plain file'): f(tmp_path)
        with pytest.raises(FileNotFoundError, match='there is no file'): f(tmp_path/'no')

def test_empty_list(tmp_path):
    "Comments alone are no words, and so no list"
    (tmp_path/'w.txt').write_text('# nothing\n\n')
    assert as_word_list(tmp_path/'w.txt') is None

good = 'labels: {toxic: {review: 0.4, block: 0.8}}\n'
hostile = ['labels: {toxic: &a {block: 0.5}, insult: *a}', '', 'labels:', '[]', '42', 'a: b: c', 'labels: {toxic: {block: .inf}}', 'labels: {toxic: {block: .nan}}', 'labels: {toxic: {block: true}}',
    'labels: {toxic: {block: "0.5"}}', 'labels: {toxic: {block: 1.5}}', 'labels: {toxic: {hide: 0.5}}', 'labels: {toxic: {}}', 'labels: {toxic: 0.5}',
    'labels: {no: {block: 0.5}}', 'labels: {toxic: {block: 0.5}, toxic: {block: 0.9}}', good+'extra: 1', good+'name: [1]',
    'labels: {toxic: {review: 0.9, block: 0.1}}', 'labels: {[a]: {block: 0.5}}', 'labels: {? {a: 1} : {block: 0.5}}', '!!python/object/apply:os.system ["true"]',
    'labels: !!python/name:os.system', 'a: &a [1,1]\nb: &b [*a,*a]\nlabels: *b', '['*30_000, '{'*30_000, good+'---\n'+good, '\x00', '%TAG ! x', 'labels: {toxic: {block: 1e999}}',
    'labels: {toxic: {block: '+'9'*9000+'}}', 'labels: {toxic: {block: 2026-01-01}}', 'labels: {toxic: {block: 99999-99-99}}', '- '*5000+'1']

@pytest.mark.parametrize('text', hostile, ids=range(len(hostile)))
def test_hostile_policies(tmp_path, text):
    "A message, and nothing runs or grows"
    (tmp_path/'p.yaml').write_text(text)
    with pytest.raises(ValueError, match='p.yaml') as e: Policy.read(tmp_path/'p.yaml')
    assert len(str(e.value))<1200

@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='abtoxiclabels:{}[]&*!#-, \n"\'0.5|>%?', max_size=60))
def test_any_yaml(text):
    "Whatever stands in the file: a policy or a ValueError"
    try: Policy.from_dict(safe_yaml(text, 'the file'))
    except ValueError: pass

def test_huge_policy(tmp_path):
    (tmp_path/'p.yaml').write_text('#'*70_000+'\n'+good)
    with pytest.raises(ValueError, match='more than 65,536 bytes'): Policy.read(tmp_path/'p.yaml')

def test_policy_hash():
    "Of the cuts alone: neither name nor order nor the way that numbers are written"
    a,b = Policy({'a':{'block':1}, 'b':{'review':.5}}, 'x'),Policy({'b':{'review':.5}, 'a':{'block':1.}})
    assert a==b and a.hash==b.hash and a.hash!=Policy({'a':{'block':.9}, 'b':{'review':.5}}).hash
    assert pickle.loads(pickle.dumps(a)).hash==a.hash

@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)]*3), min_size=1, max_size=8), st.floats(0, 1), st.floats(0, 1))
def test_policy_levels(scores, x, y):
    "As one would write it down"
    review,block = sorted((x,y))
    scores = np.array(scores, dtype=np.float32)
    got = Policy({'insult':dict(review=review, block=block)}).decide(scores, names)
    assert got==['block' if o>=np.float32(block) else 'review' if o>=np.float32(review) else 'allow' for o in scores[:,1]]

def test_policy_of_other_labels():
    with pytest.raises(ValueError, match="did you mean 'toxic'"): Policy({'toxicc':{'block':.5}}).columns(names)
    with pytest.raises(ValueError, match='two cuts'): Policy({'toxic':{'block':.5}, 'toxicity':{'block':.6}}).columns(names)
    with pytest.raises(ValueError, match='no harm'): Policy({'ok':{'block':.5}}).columns(LabelSet(['ok','bad'], 'single'))

# In a detector

def test_nothing_given(d):
    "Decisions are there without any setting, and tables stay as they are"
    res = d(['you are an idiot','thank you'])
    assert res.decisions==['block' if o else 'allow' for o in res.flags.any(1)] and res.decider is None
    assert list(res.to_dict())==['flags','scores'] and 'decisions' not in res.to_frame()
    for flags,reasons in zip(res.flags, res.reasons): assert [o['label'] for o in reasons]==[k for k,f in zip(d.labels, flags) if f]

def test_answers(folder, d):
    "Scores of the text without what is allowed, words of the text as it was passed, at every level of detail"
    text,words = 'Oh  Scunthorpe, you 1d10t',dict(block=['idiot'], allow=['scunthorpe'])
    own = Detector(folder, 'torch', threads=1, policy={'labels':{'toxic':{'review':0.}}}, **words)
    for detail in ('flags','scores','all'):
        res = own([text, 'fine'], detail)
        assert res.decisions==['block','review']
        assert [(o['kind'],text[o['start']:o['end']]) for o in res.reasons[0][:2]]==[('block','1d10t'),('allow','Scunthorpe')]
        assert res[0].decisions==['block'] and res[1:].decisions==['review'] and res[1].reasons[0][-1]['threshold']==0
        json.dumps(res.to_dict())
        assert list(res.to_frame().decisions)==res.decisions
    assert np.array_equal(own.scores(text), d.scores('Oh  , you 1d10t'))
    assert [o.decisions[0] for o in own.iter([text]*3+['fine'], chunk=2)]==['block']*3+['review']
    assert own.flagged('IDIOT') and 'block: ' in repr(res)

def test_reasons_of_the_policy(d):
    res = d.with_settings(policy={'labels':{'insult':{'review':.0, 'block':1.}}})(['thank you'])
    reason, = res.reasons[0]
    assert reason=={'kind':'label','label':'insult','score':float(res.scores[0,1]),'threshold':0.} and res.decisions==['review']

def test_with_settings_shares(d, monkeypatch):
    "The network is not opened again, the first one stays as it was, and None leaves what is"
    monkeypatch.setattr('toxicai.serve.detector.open_backend', None)
    a = d.with_settings(block=['idiot'], policy={'labels':{'toxic':{'block':.9}}})
    b = a.with_settings(allow=['you'])
    assert d.decider==Decider() and b.decider.block==a.decider.block and b.decider.policy==a.decider.policy
    assert a.with_settings(block=[], policy={}).decider==Decider() and b.network('torch') is d.network('torch')
    assert len({o.about()['settings'] for o in (d,a,b)})==3
    assert a.with_settings(block=['IDIOT']).about()==a.about()

def test_use(folder, d):
    sets = {'cautious':{'toxic':{'threshold':.9}, 'insult':{'threshold':.8}}}
    d = Detector(replace(read_folder(folder), uses=sets), 'torch', threads=1)
    one = d.with_settings(use='cautious')
    assert one.labels.thresholds==(.9,.8) and one.use=='cautious' and one.with_settings(use='').labels.thresholds==d.labels.thresholds
    assert one.about()['settings']!=d.about()['settings']
    with pytest.raises(ValueError, match="did you mean 'cautious'"): d.with_settings(use='cautios')

def test_hash_of_the_policy(d):
    "In every answer, beside the digest of all settings"
    own = d.with_settings(policy={'labels':{'toxic':{'block':.5}}})
    assert own('a').detector['policy']==own.decider.policy.hash and 'policy' not in d('a').detector

def test_pickled(folder):
    own = Detector(folder, 'torch', threads=1, block=['idiot'], policy={'labels':{'toxic':{'review':.3}}})
    again = pickle.loads(pickle.dumps(own))
    assert again.about()==own.about() and again('an idiot').decisions==['block']

def test_rechecked_near_cuts():
    "A score near a cut of the policy is judged again in fp32, as one near a threshold is"
    scores = np.array([[.1,.1,.7],[.1,.1,.2]])
    assert Decider(Policy({'threat':{'block':.71}})).unsure(scores, names, .02).tolist()==[True,False]

def test_rechecked_in_a_detector(folder):
    "bf16 judges again what is near a cut of the policy, though far from each threshold"
    text,opened = 'you are an idiot',[]
    measured = replace(read_folder(folder), drift={'torch-bf16':{'largest_score_difference':.02}})
    for away in (0.,.3):
        cut = float(Detector(folder, 'torch', threads=1)(text)['toxic'][0])-away
        own = Detector(measured, 'torch-bf16', threads=1, recheck=True, policy={'labels':{'toxic':{'block':max(cut, 0.)}}})
        own.labels = own.labels.with_thresholds(1.)
        own(text)
        opened.append('torch' in {k for k,_ in own._runs})
    assert opened==[True,False]

def test_odd_texts(d):
    "Surrogates, NUL, nothing, and a long one: judged, and found where they are"
    own = d.with_settings(block=['idiot'], allow=['town'])
    texts = ['half \ud800 idiot', '\x00idiot\x00', '', ' ', 'town', 'x '*5000+'idiot']
    res = own(texts, 'all')
    assert [bool(o) for o in res.found]==[True,True,False,False,True,True] and res.texts[4]=='' and len(res.decisions)==6
    assert [texts[i][o['start']:o['end']] for i,r in enumerate(res.reasons) for o in r if 'word' in o]==['idiot','idiot','town','idiot']

def test_unknown_harm(folder):
    "Which classes count is asked, not guessed"
    d = Detector(folder, 'torch', threads=1)
    d.labels = replace(d.labels, names=['A','other'], clean=None)
    with pytest.raises(ValueError, match='do not tell which classes are harmless'): d('thank you').decisions
    with pytest.raises(ValueError, match='do not tell which classes are harmless'): d.with_settings(block=['x'])
    assert d.with_settings(policy={'labels':{'A':{'block':0.}}}, block=['x'])('thank you').decisions==['block']

def test_rows_of_answers():
    "What a service decided is said of each text, without a policy or lists of words here"
    answers = [dict(decision='block', reasons=[dict(kind='label', label='insult')]), dict(decision='allow', reasons=[])]
    flags = np.array([[False,True,False], [False,False,False]])
    rows = plain_rows(Detections(names, flags, answers=answers))
    assert [(o['flagged'], o['decision'], o['reasons']) for o in rows]==[(True,'block',answers[0]['reasons']), (False,'allow',[])]
    assert 'decision' not in plain_rows(Detections(names, flags))[0]

"Attacks: deterministic, of the size asked for, harmless where there are no letters; augmentation leaves validation and labels alone"
import random,subprocess,sys,unicodedata

import numpy as np,pandas as pd,pytest,regex
from hypothesis import given,strategies as st

from toxicai.text.attacks import attacks,augmented,perturb

kinds = pytest.mark.parametrize('kind', attacks)
text = "You are an idiot, and everybody who reads your worthless edits knows it; please leave this page to others."
scripts = dict(russian='вы полный дурак и ничего не понимаете', greek='είσαι ένας μεγάλος βλάκας', hindi='आप बिल्कुल मूर्ख हैं', arabic='أنت شخص غبي جدا', hebrew='אתה אידיוט גמור',
               thai='คุณเป็นคนโง่มาก', chinese='你是一个白痴', korean='당신은 정말 바보입니다', turkish='sen tam bir aptalsın', german='du blöder Trottel', decomposed='tu es un cre\u0301tin fini')

def changed(a, b): return sum(x!=y for x,y in zip(a.split(), b.split(), strict=True))

# Words

@kinds
@pytest.mark.parametrize('word', ['idiot','IDIOT','Moron','ass','us','worthless','xerox'])
def test_changes_word(kind, word):
    for seed in range(50): assert attacks[kind](word, random.Random(seed))!=word

@kinds
@given(word=st.text('bcdfghjklmnpqrstvwxyz', max_size=8).map(lambda o: f'{o[:4]}a{o[4:]}e'), seed=st.integers())
def test_changes_any_word_with_vowels(kind, word, seed): assert attacks[kind](word, random.Random(seed))!=word

@kinds
@pytest.mark.parametrize('word', ['', ' ', '42', ':-)', '👍🏽', '\n\t', '\u0301', '\ud800'])
def test_no_letters(kind, word): assert attacks[kind](word, random.Random(0))==word

@kinds
def test_one_letter(kind):
    "Nothing stands between the letters of a word that has one"
    for seed in range(20): assert attacks[kind]('I', random.Random(seed))

@kinds
@given(st.text(), st.integers(0, 3))
def test_any_text(kind, o, seed):
    "No text makes it fail, and what was there stays text"
    res = perturb(o, kind, share=0.5, seed=seed)
    assert isinstance(res, str) and bool(res)==bool(o)

# What each kind may touch

def letters(o): return [c for c in o.casefold() if c.isalpha()]

@pytest.mark.parametrize('kind', ['separators','spaces'])
def test_letters_stay(kind): assert letters(perturb(text, kind, share=1.))==letters(text)

def test_marks_come_off():
    res = perturb(text, 'marks', share=1.)
    assert ''.join(c for c in unicodedata.normalize('NFD', res) if unicodedata.category(c)[0]!='M')==text

def test_invisible_come_off():
    "Everything that is added is a format character, a mark or a filler"
    added = set(perturb(text*5, 'invisible', share=1.))-set(text)
    assert added and all(unicodedata.category(c) in ('Cf','Mn') or c=='\u1160' for c in added)

def test_homoglyphs_are_foreign():
    "Letters, none of them ASCII: a Latin letter typed into the table by mistake would be no attack"
    added = set(perturb(text+text.upper(), 'homoglyphs', share=1.))-set(text+text.upper())
    assert len(added)>20 and all(ord(c)>127 and c.isalpha() for c in added)

def test_stretched_only_repeats():
    squeeze = lambda o: ''.join(c for i,c in enumerate(o) if not i or c!=o[i-1])
    assert squeeze(perturb(text, 'stretched', share=1.))==squeeze(text)

def test_censored_keeps_ends():
    for seed in range(20):
        res = attacks['censored']('worthless', random.Random(seed))
        assert len(res)==9 and res[0]=='w' and res[-1]=='s' and any(not c.isalpha() for c in res)

def test_typos_change_one_place():
    for seed in range(50):
        res = attacks['typos']('worthless', random.Random(seed))
        assert res[0]=='w' and res[-1]=='s' and 8<=len(res)<=9 and sum(a!=b for a,b in zip(res, 'worthless'))<=(2 if len(res)==9 else 9)

def test_spaces_both_ways():
    "Letters spelt out, and words cut and joined to the next"
    res = {attacks['spaces']('idiot ', random.Random(o)) for o in range(30)}
    assert 'i d i o t ' in res and 'id iot' in res

# Texts

@kinds
def test_same_seed(kind):
    alone = perturb(text, kind, seed=3)
    for o in ('others come first','and change nothing'): perturb(o, kind, seed=3)
    random.seed(0)
    assert perturb(text, kind, seed=3)==alone

def test_other_text():
    "The same word is not written alike in every text"
    assert len({perturb(f'{o} idiot', 'separators', 0.1, {'idiot'}).split()[1] for o in 'a b c d e f g h'.split()})>1

@kinds
def test_other_seed(kind): assert len({perturb(text, kind, seed=o) for o in range(5)})==5

def test_global_state():
    "Python's own generator is neither used nor moved"
    random.seed(5)
    before = random.getstate()
    augmented(pd.DataFrame(dict(text=[text])))
    assert random.getstate()==before

def test_same_in_another_process():
    "No hash of strings, which Python salts, gets in"
    code = f'from toxicai.text.attacks import *; print(ascii([perturb({text!r}, o, seed=7) for o in attacks]))'
    outs = {subprocess.run([sys.executable, '-c', code], env={'PYTHONHASHSEED':o, 'PYTHONPATH':':'.join(sys.path)}, capture_output=True, text=True, check=True).stdout for o in '12'}
    assert outs=={ascii([perturb(text, o, seed=7) for o in attacks])+'\n'}

@pytest.mark.parametrize('kind', sorted(set(attacks)-{'spaces'}))
@pytest.mark.parametrize('share,n', [(0.01,1), (0.25,2), (0.5,4), (1.,8)])
def test_share(kind, share, n):
    words = 'idiot moron worthless pathetic stupid rubbish garbage liar'
    assert changed(words, perturb(words, kind, share))==n

def test_same_words():
    "All kinds attack the same words of a text"
    at = lambda kind: [i for i,(a,b) in enumerate(zip(text.split(), perturb(text, kind).split(), strict=True)) if a!=b]
    assert len({tuple(at(o)) for o in ('leet','separators','typos','fonts','marks')})==1

@pytest.mark.parametrize('words', [{'idiot','worthless'}, ['idiot','worthless'], {'idiot':1,'worthless':.5,'and':-1}, frozenset({'idiot','worthless'})])
def test_given_words_first(words):
    for seed in range(10):
        res = perturb(text, 'leet', share=0.1, words=words, seed=seed)
        assert 'idiot' not in res and 'worthless' not in res and changed(text, res)==2

def test_heaviest_first():
    res = [perturb('moron idiot', 'leet', 0.5, dict(moron=1, idiot=2), o) for o in range(10)]
    assert all(o.startswith('moron ') and not o.endswith(' idiot') for o in res)

def test_long_words_first():
    for seed in range(20): assert perturb('so it is a worthless one', 'leet', share=0.1, seed=seed).startswith('so it is a ')

def test_case_of_words():
    assert perturb('What an IDIOT', 'separators', 0.1, {'idiot'}).startswith('What an I')

@kinds
@pytest.mark.parametrize('script', scripts)
def test_scripts(kind, script):
    "Runs on every script, and changes it unless it goes by a table of Latin letters"
    res = perturb(scripts[script], kind, share=1.)
    if kind not in ('leet','homoglyphs','fonts'): assert res!=scripts[script]
    if script in ('turkish','german','decomposed'): assert res!=scripts[script]

def test_marks_of_a_script_stay_on_their_letters():
    "A letter with its vowel sign is one letter: nothing comes between the two"
    for seed in range(10):
        parts = regex.split(r'[-._*/]', attacks['separators']('मूर्खता', random.Random(seed)))
        assert len(parts)>1 and all(unicodedata.category(o[0])=='Lo' for o in parts)

def test_long_text():
    o = 'idiot '*20_000
    assert perturb(o, 'leet', share=0.5)!=o

# Bad input

@pytest.mark.parametrize('o', [None, 3, float('nan'), b'idiot', ['idiot'], np.str_])
def test_not_text(o):
    with pytest.raises(TypeError, match='expected `str`'): perturb(o, 'leet')

@pytest.mark.parametrize('share', [0, -0.1, 1.01, 30, float('nan')])
def test_bad_share(share):
    with pytest.raises(ValueError, match='expected a share of the words'): perturb(text, 'leet', share=share)

def test_unknown_attack():
    with pytest.raises(ValueError, match="'leat' is no attack: expected one of .'leet'"): perturb(text, 'leat')
    with pytest.raises(ValueError, match="'leat'"): augmented(pd.DataFrame(dict(text=[text])), kinds=['leet','leat'])

# Augmentation

def frame(n=60, seed=0):
    rng = np.random.default_rng(seed)
    words = 'idiot moron great photo thanks table worthless source liar garden'.split()
    df = pd.DataFrame(dict(text=[' '.join(rng.choice(words, 6)) for _ in range(n)], toxic=rng.integers(0, 2, n), is_valid=rng.random(n)<0.3))
    return df.assign(insult=rng.choice([0,1,np.nan], n)).set_index(rng.permutation(n)+1000)

@pytest.mark.parametrize('valid', [bool, int, object])
def test_validation_untouched(valid):
    df = frame().astype(dict(is_valid=valid))
    res = augmented(df, valid_col='is_valid')
    pd.testing.assert_frame_equal(res[:len(df)].drop(columns=['origin','attack']), df.reset_index(drop=True))
    copies = res[len(df):]
    assert len(copies)==(df.is_valid==0).sum() and not copies.is_valid.astype(bool).any()
    assert not set(copies.origin) & set(np.flatnonzero(df.is_valid))

def test_labels_equal():
    df = frame()
    copies = augmented(df, valid_col='is_valid')[len(df):]
    source = df.iloc[copies.origin]
    for o in ('toxic','insult'): np.testing.assert_array_equal(copies[o], source[o])
    assert (copies.text.to_numpy()!=source.text.to_numpy()).all()

def test_copies_are_perturbed():
    df = frame()
    copies = augmented(df, share=0.5, words={'idiot'}, seed=4)[len(df):]
    assert copies.text.tolist()==[perturb(df.text.iloc[o], k, 0.5, {'idiot'}, 4) for o,k in zip(copies.origin, copies.attack)]

def test_copies_whatever_the_order():
    "A row's copy depends on its text, not on its neighbours"
    df = frame().drop_duplicates('text')
    a,b = augmented(df),augmented(df[::-1])
    assert set(a.text)==set(b.text) and set(augmented(df, seed=1).text)!=set(a.text)

def test_kinds_drawn():
    df = frame(300)
    copies = augmented(df, kinds=['leet','typos'])[300:]
    assert set(copies.attack)=={'leet','typos'} and copies.attack.value_counts().min()>100
    assert set(augmented(df).attack)==set(attacks)|{''}

def test_frac():
    df = frame(300)
    assert len(augmented(df, frac=0))==300 and 400<len(augmented(df, frac=0.5))<500

def test_frame_kept():
    "The caller's frame stays as it is, its types stay"
    df = frame()
    before = df.copy()
    res = augmented(df, valid_col='is_valid')
    pd.testing.assert_frame_equal(df, before)
    assert res.dtypes[df.columns].tolist()==df.dtypes.tolist()

@pytest.mark.parametrize('dtype', ['object','string','category'])
def test_dtypes_of_text(dtype):
    df = frame().astype(dict(text=dtype))
    res = augmented(df)
    assert len(res)==2*len(df) and all(isinstance(o, str) for o in res.text)

def test_odd_frames():
    assert len(augmented(pd.DataFrame(dict(text=pd.Series([], dtype=object)))))==0
    assert augmented(pd.DataFrame(dict(text=['', ':-)', '42']))).text.tolist()==['', ':-)', '42']
    assert len(augmented(pd.DataFrame(dict(text=pd.Series(['\ud800 idiot'], dtype=object)))))==2

@pytest.mark.parametrize('bad', ['train', None, 2, float('nan')])
def test_bad_valid_col(bad):
    df = pd.DataFrame(dict(text=['idiot','moron'], is_valid=[0, bad]))
    with pytest.raises(ValueError, match="column 'is_valid' holds"): augmented(df, valid_col='is_valid')

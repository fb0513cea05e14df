"Duplicates are found as brute force finds them, what belongs together stays together, labels keep their share, odd data end in words"
import functools,os,string,unicodedata,warnings
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt,numpy as np,pandas as pd,pytest
from fastai.data.all import CategoryBlock,ColReader,ColSplitter,DataBlock,IndexSplitter
from hypothesis import given,settings,strategies as st
from toxicai.data import duplicates,splits
from toxicai.data.loaders import TransformerTextBlock
from toxicai.data.load import load_comments

from toxicai.data.describe import *
from toxicai.data.duplicates import *
from toxicai.data.splits import *
from toxicai.test_utils import *

nan = float('nan')
few = settings(max_examples=40, deadline=None)
words = ['you','are','an','idiot','nice','map','thanks','go','away','please','the','river','é','😀','看']
sentences = st.lists(st.sampled_from(words), max_size=12).map(' '.join)

def same_partition(a, b): return len(set(zip(a, b)))==len(set(a))==len(set(b))

def brute(texts, thresh):
    "Groups by comparing all pairs"
    group = list(range(len(texts)))
    for i,j in combinations(range(len(texts)), 2):
        if text_similarity(texts[i], texts[j])>=thresh: group = [group[i] if g==group[j] else g for g in group]
    return group

# Keys

@few
@given(st.text(alphabet=string.printable+'\x00\x1f\x7f', max_size=40))
def test_ascii_key(text):
    "The fast path for ASCII gives what the general one gives"
    slow = duplicates._gap.sub(' ', duplicates._dropped.sub('', unicodedata.normalize('NFKC', text).casefold())).strip()
    assert text_key(text)==(slow or ' '.join(text.split()))

@few
@given(st.text(max_size=40))
def test_key_is_stable(text): assert text_key(text_key(text)) in (text_key(text), ' '.join(text_key(text).split()))

@pytest.mark.parametrize('a,b', [("Café", "Cafe\u0301"), ("so\u00adft", "soft"), ("ＦＵＬＬ", "full"), ("it’s", "its"), ("a\u200bb", "ab"), ("a,b", "a  b"), ("STRASSE", "straße")])
def test_same_key(a, b): assert text_key(a)==text_key(b)

@pytest.mark.parametrize('a,b', [("año", "ano"), ("😀", "😡"), ("?", "!!!"), ("कि", "की"), ("no", "on")])
def test_other_key(a, b): assert text_key(a)!=text_key(b)

# Groups

@few
@given(st.lists(sentences, max_size=14), st.sampled_from([0.5,0.6,0.8,0.95,1.]))
def test_brute_force(texts, thresh): assert same_partition(near_duplicates(texts, thresh), brute(texts, thresh))

@pytest.mark.parametrize('thresh', [0.5,0.65,0.8,0.9])
def test_brute_force_longer(thresh):
    "Families of texts with a few changed letters, where pairs lie on both sides of the threshold"
    rng = np.random.default_rng(0)
    def _change(o, n): return ''.join('x' if i in set(rng.choice(len(o), n, replace=False)) else c for i,c in enumerate(o))
    seeds = [''.join(rng.choice(list('abcdefgh '), 200)) for _ in range(12)]
    texts = [_change(o, n) for o in seeds for n in (0,1,2,4,6,8,10)]
    found = brute(texts, thresh)
    assert len(seeds)<len(set(found))<len(texts)
    assert same_partition(near_duplicates(texts, thresh), found)

def test_numbered_by_appearance():
    groups = near_duplicates(["c", "a", "c!", "b", "A"])
    assert groups.tolist()==[0,1,0,2,1]

def test_no_texts():
    for thresh in (None,0.8): assert near_duplicates([], thresh).tolist()==[]
    assert near_duplicates([""]).tolist()==[0] and near_duplicates(["", "", "?"]).tolist()==[0,0,1]

def test_all_alike(): assert set(near_duplicates([f"Go away, you absolute fool of an editor, number {i}" for i in range(400)]))=={0}

def test_megabytes():
    long = "".join(np.random.default_rng(0).choice([chr(o) for o in range(0x4e00, 0x5e00)], 1_000_000))
    assert near_duplicates([long, long[:-50]+"?", long[::-1], "short"]).tolist()==[0,0,1,2]

def test_odd_characters():
    "Lone surrogates, astral letters, right-to-left"
    assert near_duplicates(["\ud800", "\ud800!", "𝔡𝔲𝔪𝔟 𝔭𝔬𝔰𝔱", "dumb post", "אתה טיפש", "אתה טיפש!"]).tolist()==[0,0,1,1,2,2]

def test_pairs():
    pairs = [("a b", "c"), ("A b!", "c."), ("a", "b c"), ("c", "a b")]
    assert near_duplicates(pairs).tolist()==[0,0,1,2]

@pytest.mark.parametrize('texts', [["a", None], ["a", nan], ["a", 3]])
def test_not_text(texts):
    with pytest.raises(TypeError, match='row 1'): near_duplicates(texts)

# Conflicts and leaks

def test_conflicts_by_label_shape():
    texts = ["get lost", "Get lost!", "see you soon", "see you soon."]
    n = lambda **cols: len(label_conflicts(pd.DataFrame(dict(text=texts, **cols)), 'text', list(cols)))
    assert n(a=[1,0,1,1])==2 and n(a=[1,nan,0,0])==0 and n(a=[0.9,0.6,0.1,0.8])==2
    assert n(a=[['x','y'],['y','x'],[],['x']])==2 and n(a=['rude','kind','kind',None])==2
    assert n(a=[1,1,0,0], b=[0,1,0,nan])==2 and n(a=pd.array([1,None,0,1], dtype='Int8'))==2

@few
@given(st.lists(sentences, max_size=8), st.lists(sentences, max_size=8), st.sampled_from([None,0.6,0.8]))
def test_leaks_brute_force(train, test, thresh):
    frame = lambda o: pd.DataFrame(dict(text=pd.Series(o, dtype=object)))
    pairs = leakage_report(frame(train), frame(test), 'text', thresh=thresh).pairs
    best = [max([text_similarity(o, t) if thresh else float(text_key(o)==text_key(t)) for t in train], default=0) for o in test]
    assert sorted(pairs.test_row)==[i for i,o in enumerate(best) if o>=(thresh or 1)]
    for o in pairs.itertuples(): assert o.similarity==pytest.approx(best[o.test_row]) and (o.kind=='exact')==(text_key(test[o.test_row]) in map(text_key, train))

def test_leak_by_way_of_test():
    "A row that is like a leaking test row, but not like any training row, does not count"
    letters = ''.join(chr(o) for o in range(0x4e00, 0x4e32))
    train,test = [pd.DataFrame(dict(text=[letters[i:i+40] for i in o])) for o in ([0],[5,10])]
    assert set(near_duplicates([*train.text, *test.text], 0.6))=={0}
    assert leakage_report(train, test, 'text', thresh=0.6).pairs.test_row.tolist()==[0]

def test_report_forms():
    train,test = pd.DataFrame(dict(text=["a | <b>\nc"], toxic=[1])),pd.DataFrame(dict(text=["A | <b>\nc"], toxic=[0]))
    r = leakage_report(train, test, 'text', 'toxic')
    assert r.pairs.conflict.tolist()==[True] and '1 of 1 test rows leak' in repr(r)
    assert 'A \\| &lt;b&gt; c' in r.to_markdown() and '&lt;b&gt;' in r._repr_html_() and '\n\n\n' not in r.to_markdown()
    empty = leakage_report(train, test[:0], 'text')
    assert '0 of 0' in repr(empty) and empty.counts['% of test'].tolist()==[0,0,0]

# Splits

def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    df = pd.DataFrame(dict(text=[f"{' '.join(rng.choice(words, rng.integers(1, 8)))} {rng.integers(n)}" for _ in range(n)],
                           a=rng.random(n)<0.3, b=rng.random(n)<0.05, author=rng.integers(max(n//4, 1), size=n)))
    return df.assign(a=df.a.astype(float).mask(rng.random(n)<0.2), b=df.b.astype(float), kind=np.where(df.a>0, 'rude', 'kind'))

@few
@given(st.integers(4, 60), st.integers(0, 5), st.sampled_from([0.1,0.3,0.5]), st.booleans(), st.sampled_from([None,'kind',['a','b']]))
def test_never_apart(n, seed, pct, by_author, labels):
    df = rows(n, seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            train,valid = grouped_split(df, 'text', labels, pct, 'author' if by_author else None, seed=seed)
    except ValueError as e: return (pytest.fail(str(e)) if 'too few' not in str(e) else None)
    assert sorted(train+valid)==list(range(n)) and train and valid
    groups = near_duplicates(df.text)
    assert not set(groups[train])&set(groups[valid]) and not len(leakage_report(df.iloc[train], df.iloc[valid], 'text').pairs)
    if by_author: assert not set(df.author.iloc[train])&set(df.author.iloc[valid])

@few
@given(st.integers(10, 60), st.integers(2, 5), st.integers(0, 3))
def test_folds_never_apart(n, k, seed):
    df = rows(n, seed)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try: fold = folds(df, k, 'text', ['a','b'], seed=seed)
        except ValueError as e: return (pytest.fail(str(e)) if 'too few' not in str(e) else None)
    assert set(fold)==set(range(k)) and (fold.groupby(near_duplicates(df.text)).nunique()==1).all()

@pytest.mark.parametrize('labels', [['a','b'],'kind'])
def test_shares(labels):
    "Each label, and each gap, within two rows of its share, where random rows would be ten off"
    df = rows(4000)
    train,valid = grouped_split(df, label_cols=labels, duplicates=False)
    fold = folds(df, 5, label_cols=labels, duplicates=False)
    atoms = splits.label_atoms(df, [labels] if isinstance(labels, str) else labels)
    for o in [valid]+[np.flatnonzero(fold==i) for i in range(5)]: assert np.abs(atoms[o].sum(0)-atoms.sum(0)/5).max()<=2

def test_shares_in_groups():
    df = rows(4000)
    _,valid = grouped_split(df, 'text', ['a','b'], group_cols='author')
    atoms = splits.label_atoms(df, ['a','b'])
    assert np.abs(atoms[valid].sum(0)/atoms.sum(0)-0.2).max()<0.01

def test_no_worse_than_stratified_split():
    df = rows(3000)
    atoms = splits.label_atoms(df, ['a','b'])
    off = lambda o: np.abs(atoms[o].sum(0)/atoms.sum(0)-0.2).max()
    assert off(grouped_split(df, label_cols=['a','b'], duplicates=False)[1])<=off(stratified_split(df, ["a","b"])[1])+0.005

def test_rare_label():
    "Two rows with a label: one on each side"
    df = pd.DataFrame(dict(a=[1,1]+[0]*18))
    train,valid = grouped_split(df, label_cols='a', duplicates=False, valid_pct=0.5)
    assert df.a.iloc[train].sum()==df.a.iloc[valid].sum()==1

def test_seeds():
    df = rows(300)
    split = lambda seed: grouped_split(df, 'text', ['a','b'], seed=seed)
    assert split(1)==split(1) and split(1)!=split(2)
    assert folds(df, 3, 'text', seed=1).equals(folds(df, 3, 'text', seed=1)) and not folds(df, 3, 'text', seed=1).equals(folds(df, 3, 'text', seed=2))

def test_state_left_alone():
    df = rows(50)
    before,state = df.copy(),np.random.get_state()[1].copy()
    grouped_split(df, 'text', ['a','b']); folds(df, 3, 'text'); label_conflicts(df, 'text', 'a'); describe(df, 'text', ['a','b'], n_languages=0)
    assert df.equals(before) and (np.random.get_state()[1]==state).all()

def test_labels_of_every_shape():
    n = 40
    for values in (['x','y']*20, [['x'],[]]*20, [0,1]*20, [0.2,0.7]*20, [True,False]*20, [None,'x']*20, pd.array([1,None]*20, dtype='Int8'), pd.Categorical(['x','y']*20)):
        df = pd.DataFrame(dict(text=range(n))).assign(label=values)
        train,valid = grouped_split(df, label_cols='label', duplicates=False)
        assert len(valid)==8 and len({str(o) for o in df.label.iloc[valid]})==2

class Knows:
    "A table that knows its columns"
    text_cols,label_cols = ['text'],['a','b']
    def to_frame(self): return rows(40)

def test_table_that_knows():
    assert grouped_split(Knows())==grouped_split(rows(40), 'text', ['a','b'])
    assert len(describe(Knows(), n_languages=0).labels)==2

def test_index_does_not_matter():
    df = rows(60)
    other = df.set_axis([f'r{i}' for i in range(60)]).rename_axis('id')
    assert grouped_split(df, 'text', ['a','b'])==grouped_split(other, 'text', ['a','b'])
    assert folds(other, 3, 'text').index.equals(other.index) and folds(other, 3, 'text').tolist()==folds(df, 3, 'text').tolist()
    twice = df.set_axis([0]*60)
    assert len(label_conflicts(twice, 'text', 'a', thresh=0.5))==len(label_conflicts(df, 'text', 'a', thresh=0.5))
    assert repr(describe(twice, 'text', 'a', n_languages=0))==repr(describe(df, 'text', 'a', n_languages=0))

bad = {
    'no rows': (lambda: grouped_split(rows(4)[:0], 'text'), ValueError, 'too few for 2 sides'),
    'one row': (lambda: grouped_split(rows(4)[:1], 'text'), ValueError, '1 rows form 1 groups'),
    'all duplicates': (lambda: grouped_split(pd.DataFrame(dict(text=['a b']*9)), 'text'), ValueError, '9 rows form 1 groups'),
    'more folds than groups': (lambda: folds(pd.DataFrame(dict(g=[1,1,2,2])), 3, group_cols='g', duplicates=False), ValueError, '2 groups.*3 sides'),
    'missing text column': (lambda: grouped_split(rows(4), 'txt'), KeyError, "did you mean 'text'"),
    'missing label column': (lambda: folds(rows(4), 2, 'text', ['a','bb']), KeyError, "'bb'"),
    'missing group column': (lambda: grouped_split(rows(4), 'text', group_cols='autor'), KeyError, "did you mean 'author'"),
    'missing time column': (lambda: time_split(rows(4), 'day'), KeyError, "'day'"),
    'no text': (lambda: grouped_split(rows(4).assign(text=[None,'a','b','c']), 'text'), TypeError, 'row 0: nan'),
    'no text column named': (lambda: leakage_report(rows(4), rows(4)), ValueError, '`text_col` is missing'),
    'other side lacks a column': (lambda: leakage_report(rows(4), rows(4).drop(columns='a'), 'text', 'a'), KeyError, "'a'"),
    'not a table': (lambda: grouped_split('a.csv', 'text'), TypeError, 'expected a frame'),
    'share': (lambda: time_split(rows(4), 'author', valid_pct=1), ValueError, 'between 0 and 1'),
    'threshold': (lambda: grouped_split(rows(4), 'text', thresh=8), ValueError, 'from 0.5 to 1')}

@pytest.mark.parametrize('case', bad)
def test_bad_input(case):
    f,error,says = bad[case]
    with pytest.raises(error, match=says): f()

# Times

@few
@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.sampled_from([0.1,0.2,0.5]))
def test_time_split(times, pct):
    df = pd.DataFrame(dict(t=times))
    if len(set(times))<2:
        with pytest.raises(ValueError, match='same time'): time_split(df, 't', pct)
        return
    train,valid = time_split(df, 't', pct)
    assert sorted(train+valid)==list(range(len(df))) and df.t.iloc[train].max()<df.t.iloc[valid].min()
    shares = [(df.t>o).mean() for o in sorted(set(times))[:-1]]
    assert abs(len(valid)/len(df)-pct)==pytest.approx(min(abs(o-pct) for o in shares))

def test_time_zones():
    days = pd.date_range('2024-01-01', periods=10, tz='Europe/Madrid')
    assert time_split(pd.DataFrame(dict(t=days[::-1])), 't')[1]==[0,1]

# In a DataBlock

def test_splitters():
    df = comments(48).assign(text=lambda o: o.text+[f' {"abcdefgh"[i%8]*9}' for i in range(48)])
    train,valid = grouped_split(df, 'text', 'label')
    block = lambda splitter: DataBlock((TransformerTextBlock(tiny_checkpoint()), CategoryBlock), get_x=ColReader('text'), get_y=ColReader('label'), splitter=splitter)
    fold = folds(df, 4, 'text', 'label')
    for splitter,items,want in ((lambda _: (train,valid), df, valid), (IndexSplitter(valid), df, valid),
                                (ColSplitter('is_valid'), df.assign(is_valid=fold==0), np.flatnonzero(fold==0)), (IndexSplitter(np.flatnonzero(fold==1)), df, np.flatnonzero(fold==1))):
        dsets = block(splitter).datasets(items)
        assert sorted(dsets.valid.items.index)==sorted(want) and len(dsets.train)==len(df)-len(want)

# Description

def test_describe_counts():
    df = pd.DataFrame(dict(text=["get lost", "Get lost!", None, "  ", "a b c d e"], a=[1,0,1,nan,nan], b=[0,0,1,nan,0]))
    d = describe(df, 'text', ['a','b'], n_languages=0)
    s = d.summary.set_index('figure').rows
    assert s['rows']==5 and s['missing texts']==1 and s['empty texts']==1 and s['rows without any label']==1
    assert s['exact copies of an earlier row']==1 and s['rows with duplicates of other labels']==2
    assert d.labels.yes.tolist()==[2,1] and d.labels.missing.tolist()==[2,1] and d.together.to_numpy().tolist()==[[2,1],[1,1]]
    assert d.lengths.tolist()[:2]==[2,2] and np.isnan(d.lengths[2])

def test_describe_tokens():
    df = pd.DataFrame(dict(text=["stupid "*n for n in (1,200,300,600)], a=[0,1,0,1]))
    s = describe(df, 'text', 'a', tiny_checkpoint(), n_languages=0).summary.set_index('figure').rows
    assert [s[f'longer than {k} tokens'] for k in (128,256,512)]==[3,2,1]

def test_describe_sample():
    df = pd.DataFrame(dict(text=["Thank you for the quick answer", "Gracias por la respuesta tan rápida"]*100, a=[0,1]*100))
    d = describe(df, 'text', 'a', n_languages=50)
    assert d.languages.iloc[:,1].sum()==50 and set(d.languages.language)=={'en','es'} and d.languages.equals(describe(df, 'text', 'a', n_languages=50).languages)

@pytest.mark.parametrize('labels', ['kind','a',['a','b']])
@pytest.mark.parametrize('n', [1,2,50])
def test_describe_figure(labels, n):
    fig = describe(rows(n), 'text', labels, n_languages=0).plot()
    fig.canvas.draw()
    assert len(fig.axes)==4 and not plt.get_fignums()

def test_lengths_of_one_order():
    "Numbers at an axis of lengths are whole numbers, also between powers of ten"
    fig = describe(pd.DataFrame(dict(text=['a '*n for n in range(3, 25)], a=[0,1]*11)), 'text', 'a', n_languages=0).plot()
    fig.canvas.draw()
    said = [t.get_text() for ax in fig.axes[-2:] for t in (*ax.get_xticklabels(), *ax.get_xticklabels(minor=True)) if t.get_text()]
    assert len(said)>4 and all(o.isdigit() for o in said), said

def test_describe_odd():
    for df in (rows(5)[:0], rows(3).assign(text=None), rows(3).assign(text='')): assert 'missing texts' in repr(describe(df, 'text', 'a', n_languages=10))
    assert describe(rows(5), 'text').labels.empty
    assert len(describe(comments(8).assign(tags=[['x','y'],['x'],[],None]*2), 'text', 'tags', n_languages=0).labels)==2
    many = pd.DataFrame(dict(text=[f'text number {i}' for i in range(40)], kind=[f'class {i}' for i in range(20)]*2))
    describe(many, 'text', 'kind', n_languages=0).plot().canvas.draw()
    pairs = describe(comments(8).assign(parent="what"), ['text','parent'], 'label')
    assert pairs.summary.rows[0]==8

# Real files

folder = os.environ.get('TOXICAI_DATA')
real = pytest.mark.skipif(not folder, reason='TOXICAI_DATA is not set')
def data(name, n=None): return pd.read_parquet(Path(folder)/f'{name}.parquet').head(n)

@real
def test_copies_known_by_id():
    "Comments that two files hold under one id, as written and normalised: nine of ten are found"
    a,b = data('jigsaw_train_part'),data('jigsaw_train_normalised_sixlabel')
    both = b.merge(a, on='id', suffixes=('_b','_a')).head(500)
    groups = near_duplicates([*both.comment_text_a, *both.comment_text_b], 0.7)
    assert (groups[:len(both)]==groups[len(both):]).mean()>0.9

@real
@pytest.mark.parametrize('name,text,labels', [('jigsaw_train_part','comment_text',['toxic','threat','insult']), ('davidson','text','label_name'), ('hatexplain','text','label'),
    ('civil_comments_balanced_sample','text','toxic'), ('wiki_context_toxicity',['text','parent'],'toxic'), ('offendes_es','text','label'), ('detoxis_es','text','toxicity_level'),
    ('toxic_spans_semeval2021','text',None), ('toxic_spans_annotations','text',None), ('paradetox_en','toxic',None), ('glue_mrpc',['sentence1','sentence2'],'label'),
    ('glue_sst2','sentence','label'), ('imdb_train_10k','text','label'), ('jigsaw_train_normalised_sixlabel','comment_text','toxic')])
def test_real_files(name, text, labels):
    df = data(name, 1000)
    train,valid = grouped_split(df, text, labels)
    assert abs(len(valid)/len(df)-0.2)<0.03 and not len(leakage_report(df.iloc[train], df.iloc[valid], text).pairs)
    assert describe(df, text, labels, n_languages=20).summary.rows[0]==len(df)

# Tables that call their columns differently

def loaded(text='text', **labels): return load_comments(pd.DataFrame({text:['get lost, you fool','thank you for the map','see you there'], **labels}), text, list(labels))

def test_leakage_of_other_columns():
    "Each side has its own names; labels that only one has are not compared"
    train,test = loaded('comment', toxic=[1,0,0], insult=[0,0,0]),loaded('tweet', insult=[1,0,0], threat=[0,0,0])
    report = leakage_report(train, test)
    assert len(report.pairs)==3 and report.pairs.set_index('test_row').conflict.to_dict()=={0:True, 1:False, 2:False}
    assert report.pairs.set_index('test_row').test_labels[0]=='1.0'

def test_leakage_without_common_labels():
    report = leakage_report(loaded('comment', toxic=[1,0,0]), loaded('tweet', label=['x','y','y']))
    assert len(report.pairs)==3 and 'conflict' not in report.pairs and 'other labels' not in report.counts

def test_leakage_of_pairs():
    pairs = load_comments(pd.DataFrame(dict(sentence1=['a','b'], sentence2=['c','d'], toxic=[0,1])))
    with pytest.raises(ValueError, match=r"`train` has its text in \['comment'\] and `test` in \['sentence1', 'sentence2'\].*`text_col`"): leakage_report(loaded('comment', toxic=[1,0,0]), pairs)

def test_leakage_of_named_columns():
    "Names that are given must be there on both sides"
    for o in ({'text_col':'comment'}, {'label_cols':'toxic'}):
        with pytest.raises(KeyError, match='in the data'): leakage_report(loaded('comment', toxic=[1,0,0]), loaded('tweet', label=['x','y','y']), **o)

def test_comparisons_are_bounded(monkeypatch):
    "Texts of one template are compared by the million: few of the results are kept, and the groups stay the same"
    keys = [f'the same long words of one template, again and again, and then {i*i} and {i*7} and {i**3} of it' for i in range(120)]
    want = duplicates.key_groups(keys)
    assert duplicates.key_matcher(keys, 0.8).cache_info().maxsize==duplicates._pairs
    sizes = []
    def _small(n):
        sizes.append(n)
        return functools.lru_cache(n)
    monkeypatch.setattr(duplicates, '_pairs', 10)
    monkeypatch.setattr(duplicates, 'lru_cache', _small)
    assert (duplicates.key_groups(keys)==want).all() and None not in sizes and 10 in sizes

def test_described_once(monkeypatch):
    "Keys and label values are made once"
    from toxicai.data import describe as module
    calls = []
    for o in ('text_keys','label_values'): monkeypatch.setattr(module, o, lambda *args, f=getattr(duplicates, o), o=o: (calls.append(o), f(*args))[1])
    df = pd.DataFrame(dict(text=['you fool','you fool',None,'thanks'], toxic=[1,0,1,0]))
    res = module.describe(df, 'text', 'toxic', n_languages=0).summary.set_index('figure').rows
    assert sorted(calls)==['label_values','text_keys'] and res['rows with duplicates of other labels']==2 and res['missing texts']==1

# Draws are those of scikit-learn

def drawn_by_scikit_learn(strata, n_valid, seed, whole):
    from sklearn.model_selection import train_test_split
    return sorted(train_test_split(np.arange(len(strata)), test_size=n_valid, random_state=seed, stratify=strata if whole else None)[1])

def test_draws():
    "The rows that scikit-learn would draw, with strata of all sizes and without"
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(8, 400))
        df = pd.DataFrame(dict(a=rng.integers(0, 2, n).astype('float32'), b=rng.choice([0,.2,.5,.8,1,np.nan], n)))
        strata,share = label_strata(df, ['a','b']),float(rng.choice([.1,.25,.5,.7]))
        n_valid = max(1, round(n*share))
        expected = drawn_by_scikit_learn(strata, n_valid, seed, can_stratify(strata, n_valid))
        assert stratified_split(df, ['a','b'], share, seed)[1]==expected
        assert np.flatnonzero(stratified_flags(df, ['a','b'], share, seed)).tolist()==expected

def test_one_stratum():
    "One combination for all rows is drawn as a stratum"
    df = pd.DataFrame(dict(a=np.ones(50)))
    assert stratified_split(df, 'a', .3, 3)[1]==drawn_by_scikit_learn(np.zeros(50), 15, 3, True)

@pytest.mark.parametrize('kind', ['floats','words','both'])
def test_strata(kind):
    "Combinations are numbered as pandas numbers groups; those that are alone are pooled"
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 60))
        df = pd.DataFrame(dict(a=rng.choice([0,.4,.6,1,np.nan], n), b=rng.choice(['x','y',None], n), c=rng.integers(0, 12, n)))
        cols = {'floats':['a'], 'words':['b','c'], 'both':['c','a','b']}[kind]
        key = df[cols].assign(**{o:df[o].fillna(-1).round() if o=='a' else df[o].astype(str).fillna('?') for o in cols}).groupby(cols).ngroup()
        rare = key.map(key.value_counts())<2
        expected = key.mask(rare, len(key)) if rare.sum()>1 else key.mask(rare, key.mode()[0])
        assert label_strata(df, cols).tolist()==expected.tolist()

"A detector on labelled comments: what is judged, tuned, matched and compared, and what is written; crosses serve, judge and data"
from types import SimpleNamespace
import json,os,signal,subprocess,sys,time
from dataclasses import replace
from pathlib import Path

import numpy as np,pandas as pd,pytest,torch
from toxicai.files import adopted,change_file,file_digest,new_folder,written_files
from toxicai.evaluate import *
from toxicai.evaluate import tune_thresholds
from toxicai.judge.measures import CutCounts
from toxicai.judge.thresholds import Cuts
from toxicai.train.all import *
from toxicai.data.all import ToxicityDataLoaders,load_comments
from toxicai.judge.all import *
from toxicai.labels import LabelSet
from toxicai.serve.detector import Detector
from toxicai.serve.folder import check_files,read_folder
from toxicai.test_utils import *

nan = float('nan')

def saved(path, cols=('toxic','insult')):
    torch.manual_seed(0)
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=list(cols), bs=8)
    return toxicity_learner(dls).save_detector(path)

@pytest.fixture(scope='module')
def shared(tmp_path_factory): return saved(tmp_path_factory.mktemp('evaluate')/'rude')

@pytest.fixture(scope='module')
def d(shared): return Detector(shared, 'torch', threads=1)

@pytest.fixture
def folder(tmp_path): return saved(tmp_path/'mine')

# Judged

def test_columns_by_name(d, tmp_path):
    "Labels of a file in another order, by aliases, with gaps; other columns come along"
    df = comments(30)[['text','insult','toxic']].rename(columns=dict(toxic='Toxicity')).astype({'insult':'Int64'}).assign(site='a')
    df.loc[3,'insult'] = pd.NA
    df.to_csv(tmp_path/'c.csv', index=False)
    for source in (df, tmp_path/'c.csv'):
        judged = evaluate_detector(d, source, 'text', ['insult','Toxicity'])
        assert judged.targs[:,0].tolist()==df.Toxicity.tolist() and np.isnan(judged.targs[3,1]) and judged.targs[4,1]==df.insult[4]
        assert list(judged.frame)==['site'] and judged.texts==df.text.tolist()
        assert np.allclose(judged.probs, d.scores(df.text), atol=1e-6) and np.allclose(judged.labels.probs(judged.logits), judged.probs)

def test_names_of_classes(d, tmp_path):
    "One column of class names tells of each class that the detector has; the others are said"
    df = pd.DataFrame(dict(text=['a b','c d','e f'], label=['toxic','spam','clean']))
    with pytest.warns(UserWarning, match='knows no spam'): judged = evaluate_detector(d, df, 'text', 'label')
    assert judged.targs[:,0].tolist()==[1,0,0] and np.isnan(judged.targs[:,1]).all()

def test_exclusive(d):
    "A detector of classes that exclude each other wants names"
    one = replace(d.labels, names=['clean','toxic'], kind='single', clean=['clean'])
    single = d.with_settings()
    single.labels = one
    named = load_comments(pd.DataFrame(dict(text=['a','b','c'], label=['toxic','clean','spam'])), 'text', 'label')
    with pytest.warns(UserWarning, match='spam'): assert matched_targets(single, named).tolist()==[1,0,-1]
    with pytest.raises(ValueError, match='one column with names'): matched_targets(single, load_comments(comments(9), 'text', ['toxic']))

def test_nothing_in_common(d):
    with pytest.raises(ValueError, match='none is in both'): evaluate_detector(d, comments(9), 'text', 'label')
    with pytest.raises(ValueError, match='has no labels'): evaluate_detector(d, comments(9), 'text', [])

def test_page(d, tmp_path):
    judged = evaluate_detector(d, comments(60), 'text', ['toxic','insult'])
    report = judge(judged, n_boot=0, about=detector_facts(d, 'our forum'))
    assert 'our forum' in report.to_markdown() and report.save(tmp_path/'r.html').exists() and 'rude' in report.to_markdown()

def test_allowed_words_are_out(d):
    own = d.with_settings(allow=['the'])
    judged = evaluate_detector(own, pd.DataFrame(dict(text=['the fool','ok'], toxic=[1,0])), 'text', ['toxic'])
    assert np.allclose(judged.probs[0], d.scores('fool')[0], atol=1e-6)

def test_no_fastai():
    code = "import sys,toxicai.evaluate; print(sorted({'fastai','transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'

# Thresholds in a folder

def data(n=80): return comments(n)

def test_tuned_in_place(folder):
    "Only thresholds change, the record knows the new file, and the folder can be replaced later"
    before = json.loads((folder/'toxicai.json').read_text())
    res = tune_thresholds(folder, data(), ('recall',.9), text_col='text', label_cols=['toxic','insult'], n_boot=0)
    after = json.loads((folder/'toxicai.json').read_text())
    assert [o['threshold'] for o in after['labels']['classes']]==list(res.labels.thresholds) and res.cross_fitted
    for o in after['labels']['classes'],before['labels']['classes']: [k.pop('threshold') for k in o]
    for o in (after,before): o['files'].pop('README.md', None)
    assert after==before
    assert all(file_digest(folder/k)==v for k,v in written_files(folder).items()) and 'model.safetensors' in written_files(folder)
    assert Detector(folder, 'torch').labels.thresholds==res.labels.thresholds
    assert saved(folder)==folder and set(read_folder(folder).labels.thresholds)=={.5}

def test_tuned_copy(folder, tmp_path):
    before = {o.name:o.read_bytes() for o in folder.iterdir() if o.is_file()}
    res = tune_thresholds(folder, data(), 'f1', out=tmp_path/'new', text_col='text', label_cols=['toxic','insult'], n_boot=0)
    assert {o.name:o.read_bytes() for o in folder.iterdir() if o.is_file()}==before
    assert read_folder(tmp_path/'new').labels.thresholds==res.labels.thresholds
    assert np.allclose(Detector(tmp_path/'new', 'torch').scores('hi'), Detector(folder, 'torch').scores('hi'))
    (tmp_path/'other').mkdir()
    (tmp_path/'other/x').touch()
    with pytest.raises(FileExistsError): tune_thresholds(folder, data(), out=tmp_path/'other', text_col='text', label_cols=['toxic'], n_boot=0)

def test_own_notes_stay(folder):
    "A card that its owner rewrote stays, and is the owner's from then on"
    (folder/'README.md').write_text('mine')
    tune_thresholds(folder, data(), 'f1', text_col='text', label_cols=['toxic','insult'], n_boot=0)
    assert (folder/'README.md').read_text()=='mine' and 'README.md' not in written_files(folder)

def test_card_says_it(folder, tmp_path):
    "Classes, uses and figures of the card are those of `toxicai.json`, in the folder and in a copy; the rest stays"
    told = (folder/'README.md').read_text()
    data_args = dict(text_col='text', label_cols=['toxic','insult'], n_boot=0)
    res = tune_thresholds(folder, data(), 'f1', **data_args)
    tune_thresholds(folder, data(), ('recall',.9), use='watchful', out=tmp_path/'new', **data_args)
    one,two = (folder/'README.md').read_text(),(tmp_path/'new/README.md').read_text()
    assert f'| toxic | {res.labels.thresholds[0]:g} |' in one and f'| toxic | 0.5 |' in told and '| toxic | 0.5 |' not in one
    assert '| watchful | toxic |' in two and '| watchful' not in one and two.count('## Uses')==1
    assert one.split('## Limits')[1]==told.split('## Limits')[1]==two.split('## Limits')[1]
    check_files(read_folder(folder)), check_files(read_folder(tmp_path/'new'))

def test_without_record(folder):
    "A folder that came without its record, as by a download"
    (folder/'.toxicai-written.json').unlink()
    res = tune_thresholds(folder, data(), 'f1', text_col='text', label_cols=['toxic','insult'], n_boot=0)
    assert read_folder(folder).labels.thresholds==res.labels.thresholds and not written_files(folder)

def test_wrong_goal_writes_nothing(folder):
    before = (folder/'toxicai.json').read_bytes()
    for kw in (dict(goal='precision'), dict(goal=('recall',95)), dict(use='a/b'), dict(use='')):
        with pytest.raises(ValueError): tune_thresholds(folder, data(), text_col='text', label_cols=['toxic'], n_boot=0, **kw)
    assert (folder/'toxicai.json').read_bytes()==before

def test_use_in_place(folder):
    res = tune_thresholds(folder, data(), ('fpr',.2), use='cautious', text_col='text', label_cols=['toxic','insult'], n_boot=0)
    d = Detector(folder, 'torch', use='cautious')
    assert d.labels.thresholds==res.labels.thresholds and set(read_folder(folder).labels.thresholds)=={.5}
    assert set(d.folder.uses['cautious']['toxic'])=={'threshold','precision','recall','false_positive_rate'}

killed = """
import os,signal,sys
import toxicai.files as files
n = int(sys.argv[2])
def counted(f):
    def _f(*args, **kw):
        global n
        n -= 1
        if n<0: os.kill(os.getpid(), signal.SIGKILL)
        return f(*args, **kw)
    return _f
os.replace,os.rename,os.rmdir = counted(os.replace),counted(os.rename),counted(os.rmdir)
files.change_file(sys.argv[1], 'a.json', b'new'*1000)
"""

def test_killed_anywhere(tmp_path):
    "Whole old or whole new after a kill at each renaming, and the folder can be written again"
    seen = set()
    for n in range(9):
        folder = tmp_path/str(n)
        with new_folder(folder, lambda o: None) as new: [(new/k).write_bytes(b'old'*1000) for k in ('a.json','b.bin')]
        res = subprocess.run([sys.executable, '-c', killed, folder, str(n)])
        from toxicai.files import settle
        settle(folder)
        content = (folder/'a.json').read_bytes()
        assert content in (b'old'*1000,b'new'*1000) and (folder/'b.bin').read_bytes()==b'old'*1000
        assert all(file_digest(folder/k)==v for k,v in written_files(folder).items())
        seen.add((res.returncode,content[:3]))
        change_file(folder, 'a.json', b'third')
        assert (folder/'a.json').read_bytes()==b'third' and len(written_files(folder))==2
    assert {(-9,b'old'),(-9,b'new'),(0,b'new')}<=seen

def test_changed_by_hand(tmp_path):
    "What somebody edited may be written over where that is asked for; other edited files are theirs"
    folder = tmp_path/'a'
    with new_folder(folder, lambda o: None) as new: [(new/k).write_text('old') for k in ('a','b','c')]
    for o in 'ab': (folder/o).write_text('edited')
    change_file(folder, 'a', b'new')
    assert [(folder/o).read_text() for o in 'abc']==['new','edited','old'] and sorted(written_files(folder))==['a','c']

# From an old service

def old_table(d, n=400, seed=0, **kw):
    "Texts whose old scores are ours, bent and shifted"
    rng = np.random.default_rng(seed)
    words = 'you are an idiot thank the table is on page two fool moron nice day'.split()
    texts = [' '.join(rng.choice(words, rng.integers(1, 9))) for _ in range(n)]
    scores = d.scores(texts)
    return pd.DataFrame(dict(comment=texts, TOXICITY=scores[:,0].astype(float)**2, INSULT=scores[:,1].astype(float)**2)),scores

def test_match_finds_the_same_cut(d):
    "Old scores are the squares of ours: the cut is the root of theirs, for both goals"
    df,scores = old_table(d)
    cuts = {o:float(df[o].quantile(.8)) for o in ('TOXICITY','INSULT')}
    for goal in ('share','agreement'):
        res = match_decisions(d, df, 'comment', old_cuts=cuts, goal=goal, n_boot=50)
        table = list(res.tables.values())[0].set_index('label')
        assert (table.agreement==1).all() and np.allclose(table.flagged_before, table.flagged_now) and not len(res.tables['Texts that differ'])
        assert np.allclose(table.cut**2, [cuts['TOXICITY'],cuts['INSULT']], atol=.01) and (table.low<=table.cut).all() and (table.cut<=table.high).all()
        assert res.labels.thresholds==tuple(table.cut) and table.column.tolist()==['TOXICITY','INSULT']

def test_match_by_hand(d):
    "Counts of a small table, computed by hand; gaps belong to neither side"
    counts = CutCounts(tp=np.array([0,1,1,2]), fp=np.array([0,0,1,1]), fn=np.array([2,1,1,0]), tn=np.array([2,2,1,1]))
    assert same_share(counts)==2 and most_agreement(counts)==1
    row = matched_row([1,nan,0,0], np.array([.9,.8,.2,.1]), same_share, n_boot=0)
    assert (row['texts'],row['flagged_now'],row['agreement'],row['only_before'],row['only_now'])==(3,1/3,1.,0,0)
    assert 'cut' not in matched_row([1,1,nan], np.array([.9,.8,.2]), same_share)

def test_match_decisions_as_words(d):
    df,scores = old_table(d)
    flagged = scores[:,0]>=np.quantile(scores[:,0], .7)
    flagged[0] = ~flagged[0] # one differs
    table = df[['comment']].assign(done=np.where(flagged, 'Rejected', 'kept'))
    res = match_decisions(d, table, 'comment', {'toxic':'done'}, flagged='rejected', n_boot=0, goal='agreement')
    row = res.tables['Cuts that agree most'].iloc[0]
    assert row.only_before+row.only_now==1 and len(res.tables['Texts that differ'])==1 and row.agreement==1-1/len(df)

@pytest.mark.parametrize('kw,error', [({}, 'say from which on they flagged'), (dict(old_cuts={'TOX':.5}), "no column 'TOX'"), (dict(columns={'toxic':'no'}), "no column 'no'"),
    (dict(columns={'threat':'TOXICITY'}), "no class 'threat'"), (dict(columns={'toxic':'words'}), 'names those that flag'), (dict(columns={'toxic':'per_cent'}), r'expected scores in \[0,1\]')])
def test_match_asks(d, kw, error):
    df,_ = old_table(d, 20)
    df = df.assign(words='rejected', per_cent=df.TOXICITY*100+1)
    with pytest.raises((ValueError,KeyError), match=error): match_decisions(d, df, 'comment', **kw)

def test_match_two_columns_of_a_class(d):
    "Which of two columns counts is asked, never taken from their order; one that is named is taken"
    df,_ = old_table(d, 60)
    both = df.assign(**{'attributeScores.TOXICITY_EXPERIMENTAL.summaryScore.value':1-df.TOXICITY})
    for table in (both, both[both.columns[::-1]]):
        with pytest.raises(ValueError, match="all about 'toxic': say which one counts"): match_decisions(d, table, 'comment', old_cuts=.5)
    columns = dict(toxic='TOXICITY', insult='INSULT')
    cut = float(df.TOXICITY.median())
    res = [match_decisions(d, o, 'comment', columns, cut, n_boot=0).labels.thresholds for o in (df,both)]
    assert res[0]==res[1]

def test_match_one_side(d):
    df,_ = old_table(d, 50)
    res = match_decisions(d, df.assign(INSULT=0), 'comment', old_cuts=float(df.TOXICITY.median()), n_boot=20)
    assert 'No cut for insult' in res.lead[0] and res.labels.thresholds[1]==d.labels.thresholds[1]
    assert res.to_html() and res.to_markdown()

@pytest.mark.parametrize('name,expected', [('TOXICITY','toxicity'), ('attributeScores.SEVERE_TOXICITY.summaryScore.value','severe_toxicity'), ('IDENTITY_ATTACK_EXPERIMENTAL','identity_attack'),
    ('attribute_scores.INSULT.summary_score.value','insult'), ('attributeScores/THREAT/summaryScore/value','threat'), ('PROFANITY.value','profanity'), ('my column','my column')])
def test_old_names(name, expected): assert old_name(name)==expected

# Two detectors

def test_compare(d, tmp_path):
    "Counts by hand, texts with the largest difference first, masked or not"
    texts = ['you idiot','thank you','fool'*3,'the table']
    second = d.with_settings()
    cut = float(np.sort(d.scores(texts)[:,0])[1])
    second.labels = d.labels.with_thresholds({'toxic':cut, 'insult':1.})
    first = d.with_settings()
    first.labels = d.labels.with_thresholds({'toxic':1., 'insult':0.})
    res = compare_detectors(first, second, texts, mask=False)
    table = res.tables['Flags that change'].set_index('label')
    assert table.loc['toxic'].tolist()==[4,0,0,3,.75] and table.loc['insult'].tolist()==[4,0,4,0,1.]
    some = res.tables['Texts whose flag changes']
    assert len(some)==7 and set(some[some.label=='toxic'].flagged)=={'second alone'} and 'you idiot' in set(some.text)
    assert 'you idiot' not in compare_detectors(first, second, texts).to_markdown()
    pd.DataFrame(dict(comment=texts)).to_csv(tmp_path/'t.csv', index=False)
    again = compare_detectors(first, second, tmp_path/'t.csv', 'comment', mask=False)
    assert again.tables['Flags that change'].equals(res.tables['Flags that change'])

def test_compare_decisions(d):
    res = compare_detectors(d.with_settings(block=['fool']), d.with_settings(policy={'labels':{'toxic':{'review':0.}}}), ['a fool','fine'])
    table = res.tables['Decisions, first in rows'].set_index('first')
    assert table.loc['block','review']>=1 and table.to_numpy().sum()==2

def test_compare_labels(d, tmp_path_factory):
    "Labels that only one of them has are said"
    other = Detector(saved(tmp_path_factory.mktemp('other')/'x', ['toxic']), 'torch', threads=1)
    assert compare_detectors(d, other, ['a','b']).lead==['Only the first judges insult.']
    other.labels = replace(other.labels, names=['spam'])
    with pytest.raises(ValueError, match='none is in both'): compare_detectors(d, other, ['a'])

def test_packaged_is_left_alone(monkeypatch, tmp_path):
    "A detector that came with pip is not tuned in place"
    from toxicai import evaluate
    found = SimpleNamespace(name='english', current=lambda: tmp_path)
    monkeypatch.setattr(evaluate, 'packaged_detectors', lambda: dict(english=tmp_path))
    with pytest.raises(ValueError, match='pass `out=`'): evaluate.write_changed(found, {})

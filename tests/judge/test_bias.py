"Bias measures against loops over pairs, identity terms and sentences, the metric in real training, the report from a learner"
import math,pickle,warnings
from collections import Counter
from itertools import product

import numpy as np,pandas as pd,pytest
from fastai.callback.progress import ProgressCallback
from sklearn.metrics import roc_auc_score
from toxicai.judge.bias import *
from toxicai.judge.measures import *
from toxicai.train.metrics import *
from toxicai.data.loaders import *
from toxicai.data.duplicates import text_key
from toxicai.text.evasion import swear_words
from toxicai.text.identities import *
from toxicai.labels import *
from toxicai.train.learner import *
from toxicai.train.verbs import *
from toxicai.test_utils import *

nan = float('nan')

def random_case(seed, n=60, n_groups=3, gaps=0.2):
    "Targets with gaps, scores with ties, groups with gaps"
    rng = np.random.default_rng(seed)
    targs = rng.integers(0, 2, n).astype(float)
    targs[rng.random(n)<gaps] = nan
    groups = rng.integers(0, 2, (n, n_groups)).astype(float)
    groups[rng.random((n, n_groups))<gaps] = nan
    return targs,rng.integers(0, 9, n)/8,groups

# Measures

def pair_auc(pos, neg):
    "AUC by its meaning: how often a positive is above a negative, a tie being half"
    wins = [(a>b)+0.5*(a==b) for a,b in product(pos, neg)]
    return sum(wins)/len(wins) if wins else nan

def loop_aucs(targs, probs, group):
    "Subgroup, BPSN and BNSP AUC by loops"
    side = lambda about, toxic: [p for t,p,g in zip(targs, probs, group) if not math.isnan(t) and not math.isnan(g) and (g>=.5)==about and (t>=.5)==toxic]
    return [pair_auc(side(a, True), side(b, False)) for a,b in ((True,True), (False,True), (True,False))]

@pytest.mark.parametrize('seed', range(10))
def test_aucs(seed):
    targs,probs,groups = random_case(seed)
    for g in groups.T:
        got = [f(targs, probs, g) for f in (subgroup_auc,bpsn_auc,bnsp_auc)]
        assert got==pytest.approx(loop_aucs(targs, probs, g), abs=1e-12)

@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('p', [-5,-1,1])
def test_bias_auc(seed, p):
    "The whole score by loops and by the definition of a power mean"
    targs,probs,groups = random_case(seed)
    known = ~np.isnan(targs)
    parts = np.array([loop_aucs(targs, probs, g) for g in groups.T])
    means = [(sum(v**p for v in col)/len(col))**(1/p) for col in parts.T]
    weights = (.4,.3,.2,.1)
    expected = sum(w*v for w,v in zip(weights, [roc_auc_score(targs[known], probs[known]), *means]))
    assert bias_auc(targs, probs, groups, p, weights)==pytest.approx(expected, abs=1e-12)

def test_soft_targets_count_from_half():
    targs,probs,group = [.5,.49,1,0],[.9,.1,.8,.2],[.5,.5,.6,.4]
    assert subgroup_auc(targs, probs, group)==loop_aucs(targs, probs, group)[0]==1

@pytest.mark.parametrize('targs, group', [([1,1,1], [1,0,1]), ([1,0,1], [0,0,0]), ([nan]*3, [1,0,1]), ([], []), ([1,0,nan], [0,0,1])],
                         ids=['one class','nobody in the group','no target','no rows','unknown group rows'])
def test_degenerate(targs, group):
    "Nothing to compare gives NaN, no error and no warning"
    probs = [.3]*len(targs)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert math.isnan(subgroup_auc(targs, probs, group))
        assert math.isnan(bias_auc(targs, probs, np.array(group, dtype=float)[:,None]))

def test_everybody_in_the_group():
    targs,probs = [1,0,1,0],[.9,.8,.3,.1]
    assert subgroup_auc(targs, probs, [1]*4)==roc_auc_score(targs, probs)
    assert math.isnan(bias_table(targs, probs, pd.DataFrame({'all':[1]*4}), least=1).bpsn_auc[1])

@pytest.mark.parametrize('p, expected', [(-5, (np.mean([.5**-5,.8**-5]))**(-1/5)), (0, (.5*.8)**.5), (1, .65), (2, ((.25+.64)/2)**.5)])
def test_power_mean(p, expected):
    assert power_mean([.5,nan,.8], p)==pytest.approx(expected)

def test_power_mean_edges():
    assert math.isnan(power_mean([])) and math.isnan(power_mean([nan]))
    assert power_mean([0,1])==0 and power_mean([0,1], 1)==.5
    assert power_mean([.7]*4)==pytest.approx(.7)

def test_bad_shapes():
    with pytest.raises(ValueError, match='one class and one group'): subgroup_auc([[1],[0]], [.1,.2], [1,0])
    with pytest.raises(ValueError, match='holds NaN'): subgroup_auc([1,0], [nan,.2], [1,0])

# Intervals and table

@pytest.mark.parametrize('seed', range(3))
def test_binned_auc(seed):
    "Few scores: the cells give scikit-learn's AUC; many: within what 500 bins can hide"
    rng = np.random.default_rng(seed)
    t = rng.random(4000)<.3
    for p,tol in ((rng.integers(0, 400, 4000)/400, 1e-12), (rng.normal(t, 1), 1e-3)):
        assert cells_auc(score_cells(RankedClass(t, p), 500))==pytest.approx(roc_auc_score(t, p), abs=tol)

def test_interval_against_resampled_rows():
    "The same quantiles as drawing rows with replacement, up to the noise of 2,000 draws"
    rng = np.random.default_rng(0)
    t = rng.random(300)<.4
    p = rng.normal(t, 1)
    drawn = [rng.integers(0, 300, 300) for _ in range(2000)]
    expected = np.quantile([roc_auc_score(t[o], p[o]) for o in drawn], [.05,.95])
    got = auc_interval(t, p, n_boot=2000, level=.9)
    assert got==pytest.approx(expected, abs=.006)
    assert got[0]<roc_auc_score(t, p)<got[1]
    assert got==auc_interval(t, p, n_boot=2000, level=.9)!=auc_interval(t, p, n_boot=2000, level=.9, seed=1)

def test_interval_of_one_side(): assert all(map(math.isnan, auc_interval([True,True], [.1,.2])))

def test_table_counts_and_rates():
    targs,probs,groups = random_case(3, n=400)
    flags = probs>=.6
    table = bias_table(targs, probs, pd.DataFrame(groups, columns=list('abc')), flags, least=1).set_index('group')
    assert list(table.index)==['all rows','a','b','c']
    for k,g in zip('abc', groups.T):
        at = {v: [f for t,f,o in zip(targs, flags, g) if t==v and o==1] for v in (0,1)}
        row = table.loc[k]
        assert (row.negatives,row.positives,row.n)==(len(at[0]),len(at[1]),len(at[0])+len(at[1]))
        assert row.fpr==pytest.approx(np.mean(at[0])) and row.fnr==pytest.approx(1-np.mean(at[1]))
        assert row.fpr_low<row.fpr<row.fpr_high and row.bnsp_auc_low<=row.bnsp_auc<=row.bnsp_auc_high
        assert row[['subgroup_auc','bpsn_auc','bnsp_auc']].tolist()==pytest.approx(loop_aucs(targs, probs, g))

def test_least():
    "Counts stay, figures go, each by its own sides"
    targs = np.array([1]*5+[0]*30+[1]*30+[0]*30)
    table = bias_table(targs, np.linspace(0, 1, 95), pd.DataFrame({'few toxic':np.arange(95)<35}), least=10)
    row = table.loc[1]
    assert (row.n,row.positives,row.negatives)==(35,5,30)
    assert row[['subgroup_auc','bnsp_auc','fnr']].isna().all() and row[['bpsn_auc','fpr']].notna().all()

def test_group_columns():
    df = pd.DataFrame({'share':[0,.5,None], 'about':['a','b',None], 'flag':[True,False,True], 'score':[1,5,3]}, index=[7,8,9])
    got = group_columns(df, ['share','about','flag','score'])
    assert list(got)==['share','about=a','about=b','flag','score=1','score=3','score=5'] and list(got.index)==[0,1,2]
    assert math.isnan(got['about=a'][2]) and got['about=a'][:2].tolist()==[1,0] and math.isnan(got.share[2])

@pytest.mark.parametrize('names, kind, expected', [('insult toxicity', 'multi', 1), ('normal offensive hatespeech', 'single', 2), ('offensive clean', 'single', 0),
                                                   ('normal abusive', 'single', 1), ('rude', 'multi', 0), ('0 1', 'single', 1), ('False True', 'single', 1), ('hate toxic', 'soft', 1)])
def test_target_label(names, kind, expected): assert target_label(LabelSet(names.split(), kind))==expected

def test_target_label_named():
    labels = LabelSet(['toxic','insults'])
    assert target_label(labels, 'insult')==1
    with pytest.raises(KeyError, match='no class'): target_label(labels, 'threat')
    with pytest.raises(ValueError, match='pass `label=`'): target_label(LabelSet(['a','b']))

# Identity terms

@pytest.mark.parametrize('lang', ['en','es'])
def test_terms(lang):
    df = identity_terms(lang)
    assert len(df)>=50 and df.family.nunique()>=7 and (df.groupby('family').size()>=4).all()
    assert not df.term.duplicated().any() and df.replace('', nan).notna().all(axis=None)
    assert not [k for k,n in Counter('|'.join(df.forms).split('|')).items() if n>1], 'a form belongs to one term'
    assert not set('|'.join(df.forms).split('|')) & set(swear_words)

@pytest.mark.parametrize('lang', ['en','es'])
def test_terms_find_themselves(lang):
    "Names in the singular and in the plural, in capitals, without accents, inside a sentence"
    df = identity_terms(lang)
    for form in ('one','many'):
        for wrap in ('{}', '({}),', '«{}»!'):
            found = identity_groups([wrap.format(o) for o in df[form]], lang)
            missing = [t for i,t in enumerate(df.term) if not found[t][i]]
            assert not missing, f'{form}: {missing}'
    upper = identity_groups([o.upper() for o in df.many], lang)
    assert all(upper[t][i] for i,t in enumerate(df.term))

@pytest.mark.parametrize('text, lang, expected', [
    ("a black cat in a white house", 'en', []), ("the black students", 'en', ['Black']), ("Blacks and whites", 'en', ['Black','white']),
    ("chasm humanist menu gayety", 'en', []), ("an asylum-seeker's hope", 'en', ['asylum seeker']), ("African American women", 'en', ['African American','woman']),
    ("poor weather, old shoes, rich soup", 'en', []), ("poor people", 'en', ['poor']), ("", 'en', []), ("Muslim’s", 'en', ['Muslim']),
    ("un gato negro y vino blanco", 'es', []), ("una mujer negra", 'es', ['negro','mujer']), ("MUSULMANA y musulman", 'es', ['musulmán']),
    ("las catolicas", 'es', ['católico']), ("cochinos y machinos", 'es', []), ("enfermas mentales", 'es', ['enfermo mental']), ("Los años", 'es', [])])
def test_found(text, lang, expected):
    row = identity_groups([text], lang).iloc[0]
    assert set(row.index[row])==set(expected)

def test_families():
    terms,families = identity_groups(["a gay Muslim", "a lesbian"]),identity_groups(["a gay Muslim", "a lesbian"], by='family')
    assert families.sum(axis=1).tolist()==[2,1] and families.orientation.all()
    assert list(terms)==identity_terms().term.tolist()
    assert identity_groups([("a man", "a Sikh")]).sum(axis=None)==2
    assert identity_groups([]).shape==(0,len(terms.columns))

@pytest.mark.parametrize('lang', ['en','es'])
def test_sentences(lang):
    df = identity_sentences(lang)
    assert not df.text.duplicated().any() and not df.text.map(text_key).duplicated().any()
    assert len(df)==df.term.nunique()*df.template.nunique() and df.groupby('template').hateful.nunique().eq(1).all()
    counts = df.groupby('term').hateful.agg(['size','sum'])
    assert (counts['size']-counts['sum']).min()>=10<=counts['sum'].min()
    assert not df.text.str.contains('[{}]|  ').any() and df.text.map(lambda o: o[0].isupper()).all()
    assert not df.text.str.contains(r'\b(?:de|a) el\b', case=False).any()
    groups = identity_groups(df.text, lang)
    assert all(groups[t][i] for i,t in enumerate(df.term))

# A learner

def train_dls(kind='multi', **kwargs):
    df = comments(48).assign(about=['x','y','z']*16, share=[0.,1.,None]*16)
    df['text'] = [f'{t} {"very "*(i%5)}{i}' for i,t in enumerate(df.text)]
    cols = dict(multi=['toxic','insult'], single='label')[kind]
    return ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=cols, valid_pct=0.5, bs=5, **kwargs)

def quiet(learn):
    learn.remove_cb(ProgressCallback)
    return learn

def exact(learn): return lambda o: learn.loss_func.activation(o.double()) # as the metric: fp32 would tie what a tiny network tells apart

def column_value(learn, metric): return learn.validate()[1+[o.name for o in learn.metrics].index(metric.name)]

@pytest.mark.parametrize('kind, label', [('multi',None), ('multi',1), ('single','rude')])
def test_metric_follows_the_rows(kind, label):
    "The column is the score of `get_preds`, though the loader sorts by length"
    dls = train_dls(kind)
    rng = np.random.default_rng(0)
    groups = pd.DataFrame(rng.random((len(dls.valid_ds), 2))<.5, columns=['a','b'])
    metric = BiasAuc(groups, label)
    learn = quiet(toxicity_learner(dls, metrics=[metric]))
    assert list(dls.valid.get_idxs())!=list(range(len(groups)))
    probs,targs = [o.numpy() for o in learn.get_preds(act=exact(learn))]
    i = 1 if label==1 else 0 if label is None else list(dls.vocab).index('rude')
    expected = bias_auc(targs[:,i] if kind=='multi' else targs==i, probs[:,i], groups)
    assert column_value(learn, metric)==pytest.approx(expected, abs=1e-6)
    learn.fit(1)
    assert 'bias_auc' in learn.recorder.metric_names and 0<=learn.recorder.values[-1][-1]<=1

def test_metric_of_columns():
    "Names of columns work for every loader, shuffled ones too"
    dls = train_dls()
    metric = BiasAuc(['about','share'])
    learn = quiet(toxicity_learner(dls, metrics=[metric]))
    for dl in dls.valid,dls.train.new(shuffle=True, drop_last=False):
        probs,targs = [o.numpy() for o in learn.get_preds(dl=dl.new(shuffle=False), act=exact(learn))]
        expected = bias_auc(targs[:,0], probs[:,0], group_columns(dl.dataset.items, ['about','share']))
        assert learn.validate(dl=dl)[1]==pytest.approx(expected, abs=1e-6)

def test_rows_of_a_pass():
    "The loader says which rows it gives, in training too, where each pass has another order"
    dl = train_dls().train
    seen = []
    for _ in range(2):
        n = sum(len(b[-1]) for b in dl)
        seen.append(list(passed_rows(dl)[:n]))
    assert seen[0]!=seen[1] and all(len(set(o))==len(o) for o in seen)

def test_metric_pickles_without_data():
    dls = train_dls()
    learn = quiet(toxicity_learner(dls, metrics=[BiasAuc(['about'])]))
    value = learn.validate()[1]
    data = pickle.dumps(learn.metrics[0])
    assert len(data)<1000 and value==pytest.approx(learn.validate()[1])
    again = pickle.loads(data)
    assert column_value(quiet(toxicity_learner(dls, metrics=[again])), again)>=0

def test_metric_errors():
    dls = train_dls()
    with pytest.raises(ValueError, match='has 3 rows and there are 24'): quiet(toxicity_learner(dls, metrics=[BiasAuc(pd.DataFrame({'a':[1,0,1]}))])).validate()
    with pytest.raises(KeyError, match='no column'): quiet(toxicity_learner(dls, metrics=[BiasAuc('colour')])).validate()
    learn = quiet(toxicity_learner(dls, metrics=[BiasAuc(pd.DataFrame({'nobody':[0]*24}))]))
    with pytest.warns(UserWarning, match='`bias_auc` is NaN') as seen:
        for _ in range(2): assert math.isnan(learn.validate()[1])
    assert len([o for o in seen if 'bias_auc' in str(o.message)])==1

def test_report_agrees():
    "Columns of the validation set: the table of `get_preds`"
    dls = train_dls()
    learn = quiet(toxicity_learner(dls))
    learn.labels = learn.labels.with_thresholds(.51)
    rep = learn.bias_report(groups='about', least=1)
    probs,targs = [o.numpy() for o in learn.get_preds()]
    expected = bias_table(targs[:,0], probs[:,0].astype(float), group_columns(dls.valid_ds.items, 'about'), probs[:,0]>=.51, least=1)
    pd.testing.assert_frame_equal(rep.table, expected)
    assert rep.label=='toxic' and 'about=x' in repr(rep) and rep.to_markdown().count('| about=')==3

def test_report_of_another_frame():
    learn = quiet(toxicity_learner(train_dls('single')))
    df = pd.DataFrame(dict(text=['a woman spoke', 'a man left', 'women <script>', 'x'], label=['kind','rude','kind','rude']))
    rep = learn.bias_report(df, label='rude', least=1)
    assert rep.table.set_index('group').loc[['all rows','woman','man']].n.tolist()==[4,2,1]
    given = learn.bias_report(df, pd.DataFrame({'<script>':[True,True,False,False]}), 'rude', least=1)
    assert given.table.n.tolist()==[4,2] and '<script>' not in given._repr_html_()

@pytest.mark.parametrize('lang', ['en','es'])
def test_report_of_templates(lang):
    learn = quiet(toxicity_learner(train_dls()))
    rep = learn.bias_report(groups='templates', lang=lang, n_boot=20)
    assert rep.table.group[1:].tolist()==identity_terms(lang).term.tolist()
    assert rep.table[1:].positives.eq(12).all() and rep.table[1:].negatives.eq(12).all()
    fig = rep.plot(max_n=30)
    assert len(fig.axes[0].patches)==30 and fig.axes[0].get_xlabel() and fig.axes[1].get_xlabel()

def test_two_rows(tmp_path):
    learn = quiet(toxicity_learner(train_dls()))
    rep = learn.bias_report(pd.DataFrame(dict(text=['a gay man','b'], toxic=[1.,nan], insult=[0,1])), groups='families')
    assert rep.table.n.max()==1 and math.isnan(rep.score) and '–' in repr(rep)
    with pytest.raises(ValueError, match='nothing to plot'): rep.plot()
    folder = rep.save(tmp_path/'r')
    assert not list((folder/'figures').iterdir()) and len(pd.read_csv(folder/'tables'/'groups.csv'))==len(rep.table)

@pytest.mark.parametrize('flag,rows,says', [(False,40,['tune thresholds first']), (True,40,[]), (False,3,['tune thresholds first','cannot be compared']), (True,3,['cannot be compared'])])
def test_what_to_do_first(flag, rows, says):
    "A report that can say nothing says so before its tables"
    rng = np.random.default_rng(0)
    targs,probs = np.arange(80)%2,rng.random(80)
    groups = pd.DataFrame(dict(women=np.arange(80)<2*rows, Sikh=[False]*80))
    rep = find_bias(targs, probs, probs>.5 if flag else probs>2, groups, 'toxic', 'given by row', n_boot=0)
    for view in (repr(rep), rep._repr_html_(), rep.to_html()):
        assert [o for o in ('tune thresholds first','cannot be compared') if o in view]==says
        assert 'nan' not in view.replace('finance', '') and 'given by row' in view
    if 'cannot be compared' in says:
        with pytest.raises(ValueError, match='nothing to plot: No group has 10 harmless rows'): rep.plot()

def test_values_that_read_alike():
    "A value that came as a number and as text is one group, which has the rows of both; gaps stay gaps"
    df = pd.DataFrame(dict(site=[1,'1',None,'2',1.5], when=pd.Categorical(['a','b',None,'a','b'], ['a','b','c'])))
    res = group_columns(df, ['site','when'])
    assert list(res)==['site=1','site=1.5','site=2','when=a','when=b']
    assert np.array_equal(res['site=1'], [1,1,np.nan,0,0], equal_nan=True) and np.array_equal(res['when=b'], [0,1,np.nan,0,1], equal_nan=True)

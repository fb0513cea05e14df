"Every figure of a report against scikit-learn, on all kinds of labels and degenerate data; the page, the folder"
import csv,math,os,re,shutil,subprocess,warnings
from contextlib import contextmanager
from html.parser import HTMLParser

import numpy as np,pandas as pd,pytest
from sklearn import metrics as skm
from sklearn.calibration import calibration_curve
from toxicai.judge.figures import *
from toxicai.judge.intervals import *
from toxicai.judge.judged import *
from toxicai.labels import *
from toxicai.tables import *
from toxicai.judge.report import *
from toxicai.judge.thresholds import *
from toxicai.judge.calibration import *
from toxicai.judge.errors import *
from toxicai.judge.behaviour import *
from toxicai.judge.measures import *

nan = float('nan')

def multi(seed=0, n=300, n_classes=4, gaps=0.2, soft=False, digits=2):
    "Judged labels with gaps and tied scores; class 2 has one side only, class 3 nobody annotated"
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (n, n_classes))
    t = rng.random((n, n_classes)).round(2) if soft else (rng.random((n, n_classes))<0.3).astype(float)
    p = (1/(1+np.exp(1-x-2*t))).round(digits)
    t[rng.random((n, n_classes))<gaps] = nan
    if n_classes>2: t[:,2] = np.where(np.isnan(t[:,2]), nan, 0)
    if n_classes>3: t[:,3] = nan
    texts = [' '.join(['word']*int(o)) for o in rng.integers(0, 60, n)]
    frame = pd.DataFrame(dict(site=rng.choice(['forum','news',None], n), likes=rng.integers(0, 500, n), score=rng.random(n)))
    labels = LabelSet(['toxic','insult','threat','spam','rude','other'][:n_classes], 'soft' if soft else 'multi', thresholds=[.5,.3,.4,.5,.6,.7][:n_classes])
    return Judged(p, t, labels, texts, frame)

def single(seed=0, n=300, n_classes=4, kind='single'):
    "One class for each text, some not annotated; the last class is never annotated"
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (n, n_classes))
    t = rng.integers(0, max(2, n_classes-1), n)
    x[np.arange(n),t] += 1
    t[rng.random(n)<0.1] = -1
    p = np.exp(x)/np.exp(x).sum(1, keepdims=True)
    return Judged(p, t, LabelSet(['none','mild','bad','worst'][:n_classes], kind), [f'text number {i}' for i in range(n)], pd.DataFrame(dict(site=rng.choice(['a','b'], n))))

def kinds():
    return dict(multi=multi(), soft=multi(soft=True), single=single(), ordinal=single(kind='ordinal'))

def sk_ece(t, p):
    "Calibration error over bins of equal width, by scikit-learn's curve"
    share,mean = calibration_curve(t, p, n_bins=15, strategy='uniform')
    n = np.bincount(np.searchsorted(np.linspace(0, 1, 16)[1:-1], p))
    return (abs(share-mean)*n[n>0]).sum()/len(t)

def sk_class(t, p, f):
    "The figures of one class by scikit-learn; NaN where one side is missing"
    if len(np.unique(t))<2: return [nan]*9
    prob = np.clip(p, np.finfo(float).eps, 1-np.finfo(float).eps)
    return [skm.roc_auc_score(t, p), skm.average_precision_score(t, p), skm.log_loss(t, prob), skm.brier_score_loss(t, p), sk_ece(t, p),
            skm.precision_score(t, f, zero_division=0), skm.recall_score(t, f), skm.f1_score(t, f), skm.matthews_corrcoef(t, f)]

def by_sklearn(judged, rows=None):
    "Figures of all classes by scikit-learn, on `rows`; shape (n_classes, 9)"
    rows = np.arange(judged.n) if rows is None else rows
    hot,flags,res = judged.onehot()[rows],judged.flags()[rows],[]
    for i in range(len(judged.labels)):
        ok = ~np.isnan(hot[:,i])
        res.append(sk_class(hot[ok,i]>=0.5, judged.probs[rows][ok,i].astype(float), flags[ok,i]))
    return np.array(res)

def values(df): return dict(zip(df.metric, df.value))

# Figures

@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('kind', ['multi','soft','single','ordinal'])
def test_each_label(kind, seed):
    judged = dict(multi=lambda: multi(seed), soft=lambda: multi(seed, soft=True), single=lambda: single(seed), ordinal=lambda: single(seed, kind='ordinal'))[kind]()
    per,_ = score_tables(judged, n_boot=0)
    got,expected = per.value.to_numpy().reshape(-1, 9),by_sklearn(judged)
    assert np.isnan(expected).all(1).sum()>=1
    np.testing.assert_allclose(got, expected, atol=1e-9, rtol=0)
    assert list(per.label[::9])==list(judged.labels) and list(per.metric[:9])==reported_scores()

@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('soft', [False,True])
def test_all_labels(seed, soft):
    judged = multi(seed, soft=soft)
    got,each = values(score_tables(judged, n_boot=0)[1]),by_sklearn(judged)
    t,f = hard_targets(judged),judged.flags()
    known = ~np.isnan(t)
    for name,v in zip(reported_scores(), each.T): assert got[f'{name}_macro' if name in ('precision','recall','f1','mcc') else name]==pytest.approx(np.nanmean(v), abs=1e-9)
    assert got['f1_micro']==pytest.approx(skm.f1_score(t[known], f[known]), abs=1e-9)
    assert got['f1_weighted']==pytest.approx(np.average(each[:2,7], weights=np.nansum(t[:,:2], 0)), abs=1e-9)
    assert math.isnan(got['exact_match']) and not known.all(1).any()
    if soft: assert got['share_error']==pytest.approx(skm.mean_absolute_error(judged.targs[known], judged.probs[known]), abs=1e-9)

def test_exact_match():
    judged = multi(n_classes=2)
    whole = ~np.isnan(judged.targs).any(1)
    assert values(score_tables(judged, 0)[1])['exact_match']==pytest.approx(skm.accuracy_score(judged.targs[whole], judged.flags()[whole]), abs=1e-9)

@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('kind', ['single','ordinal'])
def test_one_of_several(kind, seed):
    judged = single(seed, kind=kind)
    got,ok = values(score_tables(judged, n_boot=0)[1]),judged.targs>=0
    t,p = judged.targs[ok],judged.probs[ok]
    y = judged.labels.flags(judged.probs).argmax(1)[ok]
    expected = dict(accuracy=skm.accuracy_score(t, y), balanced_accuracy=skm.recall_score(t, y, average=None, labels=range(3)).mean(), f1_weighted=skm.f1_score(t, y, average='weighted'), mcc=skm.matthews_corrcoef(t, y),
        f1_macro=skm.f1_score(t, y, average=None, labels=range(3)).mean(), log_loss=skm.log_loss(t, p, labels=range(4)), roc_auc=np.nanmean(by_sklearn(judged)[:,0]), average_precision=np.nanmean(by_sklearn(judged)[:,1]), ece=sk_ece(p.argmax(1)==t, p.max(1)))
    if kind=='ordinal': expected |= dict(quadratic_kappa=skm.cohen_kappa_score(t, y, weights='quadratic', labels=range(4)), mean_steps=skm.mean_absolute_error(t, y))
    assert got==pytest.approx(expected, abs=1e-9)
    table = confusion_table(judged)
    np.testing.assert_array_equal(table, skm.confusion_matrix(t, y, labels=range(4)))

def test_fp32():
    "Probabilities in fp32 are decided in fp32 and scored in fp64"
    a = multi()
    b = Judged(a.probs.astype('float32'), a.targs, a.labels)
    np.testing.assert_allclose(score_tables(b, 0)[0].value.to_numpy().reshape(-1, 9), by_sklearn(b), atol=1e-9, rtol=0)

def test_weights_are_copies():
    "Counts of rows give what scikit-learn says of the copied rows"
    judged = multi(3)
    rows = np.random.default_rng(5).integers(0, judged.n, judged.n)
    got = Scorer(judged)(np.bincount(rows, minlength=judged.n)).each
    np.testing.assert_allclose(got, by_sklearn(judged, rows), atol=1e-9, rtol=0)

def test_intervals():
    "Ends are percentiles over resamples, by a loop over scikit-learn's figures"
    judged = multi(1, n=120, n_classes=2)
    low,high = bootstrap(lambda rows: by_sklearn(judged, rows)[0,0], judged.n, 50, 7)
    per,_ = score_tables(judged, 50, 7)
    assert (per.low[0],per.high[0])==pytest.approx((low,high), abs=1e-9)
    ok = per.value.notna()
    assert (per.low[ok]<=per.high[ok]).all()

def test_decisions():
    judged = multi()
    for i,row in decision_table(judged).iterrows():
        t,p = judged.known(i)
        if not len(t): continue
        tn,fp,fn,tp = skm.confusion_matrix(t, p>=judged.labels.thresholds[i], labels=[0,1]).ravel()
        assert (row.tn,row.fp,row.fn,row.tp,row.annotated,row.positive)==(tn,fp,fn,tp,len(t),t.sum())
        for got,a,b in ((row.false_positive_rate,fp,tn), (row.false_negative_rate,fn,tp)): assert got==pytest.approx(a/(a+b) if a+b else nan, nan_ok=True)

def test_curves():
    judged = multi(digits=8, n=3000)
    one = Scorer(judged).ranked[0]
    fpr,tpr,prec = roc_points(one)
    t,p = judged.known(0)
    a,b,_ = skm.roc_curve(t, p, drop_intermediate=False)
    assert len(fpr)<600 and {(round(x, 9),round(y, 9)) for x,y in zip(fpr, tpr)}<={(round(x, 9),round(y, 9)) for x,y in zip(a, b)}
    assert skm.auc(np.r_[0,fpr], np.r_[0,tpr])==pytest.approx(skm.roc_auc_score(t, p), abs=2e-3) # points are left out of the drawing
    a,b,_ = skm.precision_recall_curve(t, p)
    assert {(round(x, 9),round(y, 9)) for x,y in zip(prec, tpr)}<={(round(x, 9),round(y, 9)) for x,y in zip(a, b)}

def test_reliability():
    judged = multi(digits=8)
    t,p = judged.known(0)
    share,mean = calibration_curve(t, p, n_bins=15, strategy='quantile')
    got = reliability_points(Scorer(judged).ranked[0])
    np.testing.assert_allclose(got[0], mean, atol=1e-9)
    np.testing.assert_allclose(got[1], share, atol=1e-9)
    assert got[2].sum()==len(t)

# Parts of the data

@pytest.mark.parametrize('kind', ['multi','soft','single','ordinal'])
def test_slices(kind):
    judged = kinds()[kind]
    rows = slice_table(judged, judged.frame.site, 'site')
    assert rows.texts.sum()==judged.n
    for _,r in rows.iterrows():
        part = judged.take((judged.frame.site.isna() if r.site=='missing' else judged.frame.site==r.site).to_numpy())
        t,f = hard_targets(part),part.flags()
        if kind in ('single','ordinal'): known,wrong = part.targs>=0,part.targs!=part.labels.flags(part.probs).argmax(1)
        else: known,wrong = ~np.isnan(t),t!=f
        assert (r.texts,r.annotated,r.errors)==(part.n,known.sum(),(wrong&known).sum())
        assert r.error_rate==pytest.approx((wrong&known).sum()/known.sum())
        assert r.low<=r.error_rate<=r.high
        if kind in ('multi','soft'): assert r.false_positive_rate==pytest.approx(((t==0)&f).sum()/(t==0).sum())

def test_slice_values():
    assert slice_values([3,1,2,1]).categories.tolist()==['1','2','3']
    assert slice_values([True,False,True]).categories.tolist()==['True','False']
    assert slice_values([1.5,nan,None]).categories.tolist()==['1.5','missing']
    many = slice_values([f'v{i}' for i in range(30)]+['v1']*5)
    assert len(many.categories)==12 and many.categories[-1]=='19 others' and (many=='19 others').sum()==19
    x = slice_values(np.r_[np.linspace(0, 1, 99),nan])
    assert x.categories[-1]=='missing' and (x=='missing').sum()==1 and x.value_counts()[:5].between(19, 20).all()
    assert slice_values([[1],[2],[1]]).categories.tolist()==['[1]','[2]']
    assert slice_values(pd.to_datetime(['2024-01-01','2024-01-02'])).categories.size==2
    assert slice_values(np.r_[np.zeros(95),np.arange(20)]).isna().sum()==0
    with pytest.raises(ValueError, match='3 values for 300 texts'): slice_table(multi(), [1,2,3])

# Errors

def test_worst_errors():
    judged = multi()
    t,f = hard_targets(judged),judged.flags()
    for name,side in (('false alarms',0),('misses',1)):
        all_rows = worst_errors(judged, 10**6)[name]
        assert {(r.row,judged.labels.index(r.label)) for r in all_rows.itertuples()}=={(int(i),int(j)) for i,j in zip(*np.nonzero((t==side)&(f!=t)))}
        assert (abs(side-all_rows.prob).diff().dropna()<=1e-12).all()
        few = worst_errors(judged, 5)[name]
        assert len(few)==5 and len(set(few.label))>=2
        assert [judged.texts[i] for i in few.row]==few.text.tolist()

def test_worst_errors_single():
    judged = single()
    df = worst_errors(judged, 100)['errors']
    wrong = (judged.targs>=0)&(judged.targs!=judged.labels.flags(judged.probs).argmax(1))
    assert len(df)==min(200, wrong.sum()) and wrong[df.row].all()
    assert df.predicted.tolist()==[judged.labels.names[i] for i in judged.labels.flags(judged.probs).argmax(1)[df.row]]
    assert len(worst_errors(judged, 3)['errors'])==6

# The object

@contextmanager
def nothing_warned():
    "Warnings are errors, but for what matplotlib does with numpy before 2.4, which nobody sees"
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warnings.filterwarnings('ignore', 'Conversion of an array with ndim', DeprecationWarning, 'matplotlib')
        yield

def degenerate():
    nothing = np.full((5,2), nan)
    two = LabelSet(['toxic','insult'])
    return {'two rows': Judged([[.9,.2],[.1,.3]], [[1,0],[0,1]], two), 'one row': Judged([[.9,.2]], [[1,0]], two, ['a']), 'one label': multi(n_classes=1),
            'nothing annotated': Judged(np.full((5,2), .5), nothing, two, ['a']*5), 'equal scores': Judged(np.full((40,2), .5), np.eye(2)[[0,1]*20], two),
            'sure': Judged(np.array([[0.,1.],[1.,0.]]*9), np.array([[0.,1.],[1.,0.]]*9), two), 'two rows of one class': Judged([[.9,.1],[.2,.8]], [0,0], LabelSet(['a','b'],'single')),
            'nothing annotated, single': Judged([[.9,.1],[.2,.8]], [-1,-1], LabelSet(['a','b'],'single')), 'empty texts': Judged([[.9],[.2],[.3]], [[1],[0],[1]], LabelSet(['a']), ['','  ','x']),
            'many classes': Judged(np.random.default_rng(0).random((60,20)), (np.random.default_rng(1).random((60,20))<.4).astype(float), LabelSet([f'class {i}' for i in range(20)]))}

@pytest.mark.parametrize('name', [*kinds(),*degenerate()])
def test_whole(name):
    "Tables and figures of every kind of data; nothing is warned of"
    judged = {**kinds(),**degenerate()}[name]
    with nothing_warned():
        report = judge(judged, n_errors=3, by=None if judged.frame is None else 'site', n_boot=20)
        axes = [ax for o in report.figures.values() for ax in o.axes if ax.axison]
    assert 'Thresholds and counts' in repr(report) and 'nan' not in report.to_markdown()
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in axes)

def test_interval_of_a_mean_with_a_rare_class():
    "Draws that lost the only positive row of a class would be means over the other classes: there is no interval, and the summary says why"
    rng = np.random.default_rng(1)
    t = np.stack([rng.random(80)<.5, np.arange(80)==3], 1).astype(float)
    p = np.stack([rng.random(80), np.where(np.arange(80)==3, .999, rng.random(80))], 1)
    p[:,0] = np.where(t[:,0]==1, .9, .1)
    p[3,1] = .5 # the rare class does badly, the other perfectly
    judged = Judged(p, t, LabelSet(['a','b']), list(map(str, range(80))))
    whole = score_tables(judged, n_boot=200)[1].set_index('metric')
    assert np.isnan([whole.low['roc_auc'],whole.high['roc_auc']]).all()
    assert 'b: 1 yes in 80 rows, 36.6% of the draws have none' in judge(judged, n_boot=5).to_markdown()

@pytest.mark.parametrize('name', ['multi','single','one row','nothing annotated'])
def test_save(name, tmp_path):
    judged = {**kinds(),**degenerate()}[name]
    with nothing_warned():
        report = judge(judged, n_errors=3, n_boot=5)
        folder = report.save(tmp_path/'report')
    assert {o.name for o in folder.iterdir()}=={'report.html','report.md','figures','tables','.toxicai-written.json'}
    assert {o.stem for o in (folder/'figures').iterdir()}==set(report.figures)
    assert all(f'figures/{k}.png' in (folder/'report.md').read_text(encoding='utf-8') for k in report.figures)
    for k,df in report.frames.items():
        back = pd.read_csv(folder/'tables'/f'{k}.csv')
        assert list(back.columns)==list(map(str, df.columns)) and len(back)==len(df)

def test_figures_of_the_page():
    "What is printed is what is in the frames"
    judged = multi()
    report = judge(judged, n_boot=20)
    shown = report.tables['Each label: decisions'].set_index('label')
    row = report.frames['each_label'].query("label=='toxic' and metric=='f1'").iloc[0]
    assert shown.f1['toxic']==f'{row.value:.3f} ({row.low:.3f} to {row.high:.3f})' and shown.f1['spam']=='–'
    assert judge(judged, n_boot=20).to_markdown()==report.to_markdown()

class Tags(HTMLParser):
    def __init__(self): self.seen = set(); super().__init__()
    def handle_starttag(self, tag, attrs): self.seen.add(tag)

def hostile():
    bad = '<script>alert(1)</script><img src=x onerror=alert(2)> "=cmd" | `x` [a](javascript:b) fuck'
    return Judged([[.9],[.1],[.8],[.2]], [[0],[1],[1],[0]], LabelSet(['<b>toxic']), [bad,'=1+1','fine','-x'], pd.DataFrame({'<i>col':['<u>a','=b','<u>a','c']}))

def test_escaped(tmp_path):
    "A comment stays text in HTML and in Markdown, and no formula in a spreadsheet"
    report = judge(hostile(), by='<i>col', n_boot=5, title='<script>x')
    parser = Tags()
    parser.feed(report.to_html())
    assert not parser.seen & {'script','u','i','b'} and 'onerror' not in ' '.join(re.findall(r'<[^>]*>', report.to_html()))
    md = report.to_markdown()
    assert not re.search(r'<\w', md) and r'\[a\](javascript' in md
    report.save(tmp_path/'r')
    for o in (tmp_path/'r'/'tables').iterdir():
        cells = pd.read_csv(o, dtype=str, keep_default_na=False).to_numpy().ravel()
        assert not [c for c in cells if re.match(r'[=@+]|-\D', c)]
    assert "script-src" in report.to_html() or "default-src 'none'" in report.to_html()

@pytest.mark.parametrize('cell', ['=1+1',' =1+1','\xa0=1+1','\u3000+1','\ufeff@x','\u200b-x','＝1+1','＋1','－1','＠x','\n=1','\t1','\r1','\x00=1','\u2212x'])
def test_formulas(cell, tmp_path):
    "Behind blanks, in full width, in cells and in the header"
    write_csv(pd.DataFrame({cell:[cell,'fine'], 'n':[-1,2]}), tmp_path/'a.csv')
    head,first,*_ = csv.reader(open(tmp_path/'a.csv', encoding='utf-8-sig', newline=''))
    assert head==["'"+cell,'n'] and first==["'"+cell,'-1']

@pytest.mark.parametrize('cell', ['fine','a=b','1-2','(+1)','','–','√2','  two'])
def test_no_formula(cell): assert plain_cell(cell)==cell

def test_headers_that_steer():
    "Names of columns and titles are cells: one line, no escape sequence"
    odd = 'a\n\n# b\x1b]0;x\x07\u202e|<i>'
    df = pd.DataFrame({odd:['x\x1b[2J\u2066']})
    report = Report({odd:df})
    assert len(markdown_table(df).splitlines())==3 and len(repr(report).splitlines())==3 and len(report.to_markdown().splitlines())==7
    for o in (markdown_table(df), html_table(df), repr(report), report.to_markdown()):
        assert not set(o)&{'\x1b','\x07','\u202e','\u2066'} and 'b\\x1b' in o.replace('\\\\', '\\')
    assert '&lt;i&gt;' in html_table(df) and '<i>' not in html_table(df)

def test_mask():
    "In every table, also in parts of the data; pictures hold no comments"
    plain,masked = [judge(hostile(), by='<i>col', n_boot=0, mask=o) for o in (False,True)]
    view = lambda r: r.to_markdown()+repr(r)+''.join(map(html_table, r.tables.values()))+''.join(o.to_csv() for o in r.frames.values())
    assert 'fuck' in view(plain) and 'fuck' not in view(masked) and 'f**k' in view(masked)

def test_long_text():
    report = judge(Judged([[.9],[.1]], [[0],[1]], LabelSet(['a']), ['long '*5000,'\x00 \ud83d b']), n_boot=0)
    assert len(report.to_markdown())<5000
    report.to_html()

def test_save_leaves_others_alone(tmp_path):
    report = judge(multi(n_classes=1), n_boot=0)
    (tmp_path/'mine').mkdir()
    (tmp_path/'mine'/'thesis.txt').touch()
    for o in (tmp_path/'mine', tmp_path/'mine'/'thesis.txt'):
        with pytest.raises(FileExistsError, match='is not a'): report.save(o)
    folder = report.save(tmp_path/'new'/'r')
    (folder/'notes.txt').touch()
    with pytest.raises(FileExistsError, match='notes.txt'): report.save(folder)
    assert sorted(os.listdir(tmp_path/'new'))==['r'] and os.listdir(tmp_path/'mine')==['thesis.txt']

def test_save_that_fails(tmp_path, monkeypatch):
    "The earlier report stays, and nothing half-written"
    report = judge(multi(n_classes=1), n_boot=0)
    folder = report.save(tmp_path/'r')
    before = (folder/'report.md').read_text(encoding='utf-8')
    monkeypatch.setattr(type(report), 'to_markdown', lambda *o: 1/0)
    with pytest.raises(ZeroDivisionError): report.save(folder)
    assert os.listdir(tmp_path)==['r'] and (folder/'report.md').read_text(encoding='utf-8')==before

def test_bad():
    judged = multi()
    with pytest.raises(KeyError, match="did you mean 'site'"): judge(judged, by='sites')
    with pytest.raises(ValueError, match='no columns beside'): judge(Judged(judged.probs, judged.targs, judged.labels), by='site')
    with pytest.raises(ValueError, match='needs one class per text'): confusion_table(judged)
    with pytest.raises(ValueError, match='no texts to judge'): judge(judged.take([]))

def test_columns_of_one_name(tmp_path):
    "Two columns whose names make the same file name, and one named like the lengths"
    a = multi()
    frame = pd.DataFrame({'a b':['x']*a.n, 'a_b':['y']*a.n, 'length in words':['z']*a.n})
    report = judge(Judged(a.probs, a.targs, a.labels, a.texts, frame), by=['a b','a_b','length in words'], n_boot=0)
    assert len([o for o in report.frames if o.startswith('by_')])==4

# A figure from outside

@pytest.fixture
def plugged():
    "A figure of predictions with texts, and one of the parts, in the table for a while"
    @add_figure('lengths', 'Length of the comments', applies=lambda judged: judged.texts is not None)
    def lengths_figure(judged):
        fig = new_figure(4, 2)
        fig.subplots().hist([len(o) for o in judged.texts])
        return fig
    @add_figure('n_parts', 'Number of parts', applies=len, reads='slices')
    def n_parts_figure(slices): return figure_saying(str(len(slices)))
    yield lengths_figure
    for o in ('lengths','n_parts'): report_figures.pop(o)

def test_added_figure(plugged, tmp_path):
    "It is drawn, captioned and written like those of the library, where there is something to draw"
    judged = multi()
    report = judge(judged, n_boot=0)
    assert list(report.figures)==['curves','reliability','scores','confusion','parts','lengths','n_parts']
    assert report.figures['n_parts'].axes[0].texts[0].get_text()=='1' and len(plugged(judged).axes)==1
    folder = report.save(tmp_path/'r')
    assert (folder/'figures'/'lengths.png').stat().st_size>1000 and 'Length of the comments' in (folder/'report.md').read_text(encoding='utf-8')
    assert 'Number of parts' in report.to_html()
    bare = judge(Judged(judged.probs, judged.targs, judged.labels), n_boot=0)
    assert list(bare.figures)==['curves','reliability','scores','confusion']

def test_added_figure_is_gone(): assert list(report_figures)==['curves','reliability','scores','confusion','parts']

def test_figures_leave_pyplot_alone():
    plt = pytest.importorskip('matplotlib.pyplot')
    before = plt.get_fignums()
    judge(multi(), n_boot=0).figures
    assert plt.get_fignums()==before

def test_learner():
    from toxicai.data.loaders import ToxicityDataLoaders
    import toxicai.train.verbs
    from toxicai.train.learner import toxicity_learner
    import toxicai.train.verbs
    from toxicai.test_utils import comments,tiny_checkpoint
    df = comments(60).assign(site=['forum','news']*30)
    for cols,valid in ((['toxic','insult'],['toxic','insult']), ('label','label')):
        learn = toxicity_learner(ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=cols, bs=16))
        with learn.no_bar(): report,probs = learn.report(by='site', n_boot=5, n_errors=2),learn.get_preds()[0]
        np.testing.assert_allclose(report.judged.probs, probs, atol=1e-6)
        assert report.judged.texts==learn.dls.valid_ds.items.text.tolist() and 'Errors by site' in report.tables

# In plain words

def several(targs, probs, names=('toxic','insult'), **kwargs): return Judged(np.array(probs, float), np.array(targs), LabelSet(list(names), **kwargs))

@pytest.mark.parametrize('judged,expected', [
    (several([[1,0],[0,1],[0,0],[nan,0]], [[.9,.1],[.2,.4],[.6,.1],[.9,.9]]), Caught(1, 2, 1, 1)), # the last row may be harmful, so it is neither
    (several([[nan,1],[nan,nan]], [[.1,.6],[.9,.9]]), Caught(1, 1, 0, 0)), # one yes is enough
    (several([[.5],[.4]], [[.3],[.3]], ['hate'], kind='soft', thresholds=.3), Caught(1, 1, 1, 1)),
    (several([0,1,2,-1], [[.8,.1,.1],[.6,.3,.1],[.2,.2,.6],[.1,.8,.1]], ['neither','offensive','hate'], kind='single'), Caught(1, 2, 0, 1)),
    (several([0,1,1], [[.2,.8],[.3,.7],[.9,.1]], ['hate','not hate'], kind='single'), Caught(0, 1, 1, 2)), # the harmless class stands second
    (several([0,1,2,2], [[.9,.1,0],[.2,.3,.5],[.1,.5,.4],[.6,.2,.2]], ['none','mild','severe'], kind='ordinal'), Caught(2, 3, 0, 1))])
def test_caught(judged, expected): assert caught(judged)==expected

@pytest.mark.parametrize('n_bad,found,n_good,hit,sentence', [
    (17, 2, 123, 0, 'Flags 2 of 17 harmful comments and none of 123 harmless ones.'),
    (17, 17, 5, 5, 'Flags all 17 harmful comments and all 5 harmless ones.'),
    (0, 0, 9, 3, 'Flags 3 of 9 harmless comments.'), (1, 1, 0, 0, 'Flags 1 of 1 harmful comments.'),
    (0, 0, 0, 0, 'Nobody annotated these comments, so nothing can be said about the decisions.')])
def test_sentence(n_bad, found, n_good, hit, sentence):
    t = [1.]*n_bad+[0.]*n_good+[nan]
    p = [.9]*found+[.1]*(n_bad-found)+[.9]*hit+[.1]*(n_good-hit)+[.9]
    judged = several(np.array(t)[:,None], np.array(p)[:,None], ['toxic'])
    assert verdict_words(judged)[0]==sentence
    with nothing_warned(): page = judge(judged, n_boot=0).to_html()
    assert page.index('<h1')<page.index(sentence)<page.index('<nav')<page.index('<h2')

def test_sentences_about_thresholds():
    "At 0.5 beside thresholds that are in use, and tuned ones of `more` beside those; figures of the sentences are those of scikit-learn"
    judged = multi(n_classes=2, gaps=0)
    t,f = judged.targs.any(1),lambda th: (judged.probs>=th).any(1)
    count = lambda th: 'flag {} of {} harmful comments and {} of {} harmless ones'.format(*[f'{o.sum()}' for o in ((f(th)&t),t,(f(th)&~t),~t)])
    tuned = tuned_thresholds(judged, ('recall',.8), n_boot=0)
    report = judge(judged, n_boot=0)
    assert report.lead[0].lower().startswith(count([.5,.3]).replace('flag', 'flags')) and count(.5) in report.lead[1]
    page = report.to_html([tuned])
    assert f'With the thresholds tuned for the {tuned.goal} on these very rows it would {count(tuned.labels.thresholds)}' in page and len(report.lead)==3
    assert 'would' not in ' '.join(judge(judged.with_labels(judged.labels.with_thresholds(.5)), n_boot=0).lead)
    half = judge(judged.take(np.arange(150)), n_boot=0)
    assert f'tuned for the {tuned.goal} it would' in half.to_html(tuned)

def test_nobody_says_what_is_harmless():
    judged = several([0,1,1], [[.9,.1],[.9,.1],[.2,.8]], ['A','other'], kind='single')
    assert verdict_words(judged)==['Decides 2 of 3 as the annotators did.'] and short_table(judged).answer.tolist()==['2 of 3 (67%)']
    judge(judged, n_boot=0).to_html()

# The page

class Outline(HTMLParser):
    "Headings in order, links, ids, table heads without scope, pictures without words, addresses"
    def __init__(self, page):
        super().__init__()
        self.headings,self.links,self.ids,self.bad,self.sources = [],[],[],[],[]
        self.feed(page)
    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if re.fullmatch('h[1-6]', tag): self.headings.append(int(tag[1]))
        if 'id' in attrs: self.ids.append(attrs['id'])
        if tag=='a': self.links.append(attrs['href'][1:])
        if (tag=='th' and attrs.get('scope')!='col') or (tag=='img' and not attrs.get('alt')): self.bad.append((tag,attrs))
        self.sources += [attrs[k][:11] for k in ('src','href','data') if k in attrs and not attrs[k].startswith('#')]

def whole(mask=True):
    "A report and four others for its page"
    texts = [o for i in range(40) for o in (f'you stupid bitch {i}', f'thank you {i}', 'a'*70)]
    rng = np.random.default_rng(4)
    t,p = rng.integers(0, 2, (120,2)).astype(float),rng.random((120,2))
    judged = Judged(p, t, LabelSet(['toxic','insult']), texts, pd.DataFrame(dict(site=['x','y']*60)), np.log(p/(1-p)))
    cases = behaviour_cases('toxic')
    behaviour = BehaviourReport(cases, np.zeros(len(cases)), np.zeros(len(cases), bool), 'toxic')
    more = [tuned_thresholds(judged, n_boot=0), calibrated(judged, n_boot=0), behaviour, find_errors(judged, 3)]
    return judge(judged, n_errors=3, by='site', n_boot=5, mask=mask),more

def test_outline():
    "No level is left out, each heading is in the contents, tables and pictures speak, nothing comes from elsewhere"
    report,more = whole()
    page = report.to_html(more)
    o = Outline(page)
    assert o.headings[0]==1 and o.headings.count(1)==1 and all(b<=a+1 for a,b in zip(o.headings, o.headings[1:]))
    assert o.links==o.ids[1:] and len(set(o.ids))==len(o.ids)==len(o.headings)
    assert not o.bad and set(o.sources)=={'data:image/'} and 'http' not in re.sub('http-equiv', '', page)
    assert re.search(r'alt="Reliability diagrams: [^"]*toxic  ?ECE 0\.\d', page)
    assert 'name="viewport"' in page and '@media print' in page

def test_page_is_masked_unless_asked(tmp_path):
    "Everything on it, also other reports and the files beside it"
    for mask in (True,False):
        report,more = whole(mask)
        folder = report.save(tmp_path/f'r{mask}', more)
        said = ' '.join(o.read_text(encoding='utf-8') for o in folder.rglob('*') if o.suffix in ('.html','.md','.csv'))
        assert ('bitch' in said) is not mask and (not mask or 'b***h' in said.replace('\\', ''))
    assert 'bitch' in more[3].tables['Highest losses'].to_string()

def test_one_file(tmp_path):
    report,more = whole()
    path = report.save(tmp_path/'r.html', more)
    assert os.listdir(tmp_path)==['r.html'] and path.read_text(encoding='utf-8')==report.to_html(more)
    assert report.save(str(path))==path
    (tmp_path/'mine.html').write_text('<p>mine')
    (tmp_path/'link.html').symlink_to(path)
    (tmp_path/'dir.html').mkdir()
    for o in ('mine','link','dir'):
        with pytest.raises(FileExistsError, match='is not a page of an earlier report'): report.save(tmp_path/f'{o}.html')
    assert (tmp_path/'mine.html').read_text()=='<p>mine'
    for o in ('r.pdf','r.md','r.htm'):
        with pytest.raises(ValueError, match='expected a name that ends in .html'): report.save(tmp_path/o)

def test_files_of_several_reports(tmp_path):
    "Two reports of one title get files of their own, and each link of the Markdown leads to a picture"
    report,more = whole()
    folder = report.save(tmp_path/'r', [*more, more[2], judge(multi(), n_boot=0)])
    md = (folder/'report.md').read_text(encoding='utf-8')
    linked = re.findall(r'!\[[^\]]*\]\(([^)]+)\)', md)
    assert len(linked)==len(set(linked))==len(list((folder/'figures').iterdir())) and all((folder/o).is_file() for o in linked)
    assert [len(o) for o in re.findall(r'^(#+) ', md, re.M)].count(1)==1

def test_what_was_judged():
    facts = dict(model='my network', data='Jigsaw', thresholds='0.3, by hand', licence='CC0')
    table = judge(multi(), n_boot=0, about=facts).tables['What was judged']
    said = dict(zip(table.figure, table.value))
    assert {k:said[k] for k in facts}==facts and list(said)[:2]==['model','data'] and re.fullmatch(r'\d{4}-\d\d-\d\d', said['date']) and said['toxicai']==own_version()
    bare = judge(multi(), n_boot=0).tables['What was judged']
    assert dict(zip(bare.figure, bare.value))['data']=='not named' and 'insult 0.3' in dict(zip(bare.figure, bare.value))['thresholds']

@pytest.mark.parametrize('more', [3, [None], 'a.csv', [pd.DataFrame()]])
def test_no_report(more):
    with pytest.raises(TypeError, match='is no report: expected what `learn.report'): judge(multi(), n_boot=0).to_html(more)

def browser():
    "A browser without a window; the test is skipped where there is none"
    found = next(filter(None, map(shutil.which, ('chromium','chromium-browser','google-chrome'))), None)
    if found is None: pytest.skip('no chromium: `apt-get install chromium` to look at pages')
    return [found, '--headless', '--no-sandbox', '--disable-gpu']

_measure = """<script>addEventListener('load', () => {
 document.title = [...document.querySelectorAll('iframe')].map(f => { const d = f.contentDocument, e = d.documentElement
 const lead = d.querySelector('.lead').getBoundingClientRect(), nav = d.querySelector('nav').getBoundingClientRect()
 return [e.scrollWidth, e.clientWidth, Math.round(lead.top), Math.round(nav.top), nav.right<=lead.left].join(' ') }).join(';') })</script>"""

def test_in_a_browser(tmp_path):
    "On a phone, a tablet and a screen nothing is wider than the page; the sentence stands first, the contents below it or at its side"
    command = browser()
    report,more = whole()
    page = re.sub('<meta http-equiv[^>]*>', '', report.to_html(more)) # of the policy that keeps scripts out, also that of the test
    frames = ''.join(f'<iframe width={o} height=800 srcdoc="{page.replace("&", "&amp;").replace(chr(34), "&quot;")}"></iframe>' for o in (360,800,1280))
    (tmp_path/'test.html').write_text(_measure+frames, encoding='utf-8')
    run = subprocess.run([*command, f'--user-data-dir={tmp_path/"profile"}', '--dump-dom', f'file://{tmp_path}/test.html'], capture_output=True, text=True, timeout=120)
    seen = [o.split() for o in re.search('<title>([^<]*)</title>', run.stdout)[1].split(';')]
    assert len(seen)==3 and all(int(o[0])<=int(o[1]) for o in seen)
    assert all(int(lead)<300 for *_,lead,_,_ in seen) and [o[4] for o in seen]==['false','false','true'] and int(seen[0][2])<int(seen[0][3])

@pytest.mark.parametrize('text', ['<b>'+'word '*200, 'x'*5000, 'one\n'*300, 'evil </details><script> '*90, 'so…', 'short', '…'*400, ''])
def test_all_of_a_text(text):
    "What is cut in a table of HTML is behind a click: both parts together are the text"
    cell = html_table(pd.DataFrame(dict(text=[text])), n=60)
    body = re.search('<tbody>(.*)</tbody>', cell, re.S)[1]
    whole = ' '.join(text.split())
    assert '<script' not in body and '<b>' not in body and body.count('</details>')==(len(whole)>60)
    seen = re.sub('<[^>]*>', '', body).replace('&lt;', '<').replace('&gt;', '>')
    assert seen.replace('…', '').replace(' ', '')==whole.replace('…', '').replace(' ', '')

def test_longest_text_ends():
    "A text without end does not blow up the page"
    assert len(html_table(pd.DataFrame(dict(text=['word '*10**6]))))<12_000

@pytest.mark.parametrize('soft', [False,True])
@pytest.mark.parametrize('seed', range(3))
def test_calibration_error_lies_within(seed, soft):
    "The draws of a mean over bins lie above it; its interval lies around it"
    rng = np.random.default_rng(seed)
    p = rng.random((120,2))*.6
    t = np.where(soft, p, rng.random((120,2))<p).astype(float)
    t[rng.random((120,2))<.1] = nan
    for o in score_tables(Judged(p, t, LabelSet(['a','b'], 'soft' if soft else 'multi')), n_boot=60, seed=seed):
        ece = o[o.metric=='ece'].dropna()
        assert ((0<=ece.low)&(ece.low<=ece.value)&(ece.value<=ece.high)&(ece.high<=1)).all()

def test_one_form_of_intervals():
    "Tables of all reports put the interval behind the figure, in the same words"
    judged = multi(n_classes=2, gaps=0)
    judged = Judged(judged.probs, judged.targs, judged.labels, logits=np.log(judged.probs.clip(.01, .99)/(1-judged.probs.clip(.01, .99))))
    form = re.compile(r'-?\d\.\d{3} \(-?\d\.\d{3} to -?\d\.\d{3}\)')
    tuned,fitted = tuned_thresholds(judged, n_boot=30),calibrated(judged, 'platt', n_boot=30)
    cells = [*tuned.shown.after, *tuned.shown.threshold, *fitted.shown.ece, *fitted.shown.brier_after, *judge(judged, n_boot=30).tables['All labels'].value]
    assert all(map(form.fullmatch, cells)), cells
    for o in (tuned,fitted):
        assert not [k for k in o.shown if str(k).endswith(('low','high'))] and o.table.dtypes.map(lambda d: d.kind in 'ifb').sum()>6
        assert o.shown.shape[1]<=11 and 'nan' not in repr(o) and len(repr(o).splitlines())==4

def test_titles_of_a_page():
    "The heading of tuned thresholds is short, and what it is worth stands below"
    judged = multi(n_classes=2, gaps=0)
    page = judge(judged, n_boot=0).to_html(tuned_thresholds(judged, n_boot=0))
    heading = re.search('<h2[^>]*>Thresholds for[^<]*</h2>(<p class="lead">[^<]*</p>)', page)
    assert heading and ';' not in heading[0] and 'Optimistic: measured' in heading[1] and '>Picture<' not in page

def test_tables_of_one_file_name(tmp_path):
    "Each table has a file of its own, also where signs alone tell the titles apart, or what stands behind sixty letters"
    long = 'a'*70
    titles = ['Rate (old)','Rate [old]','Rate old 1',f'{long}b',f'{long}c','*','?']
    res = Report({k:pd.DataFrame(dict(n=[i])) for i,k in enumerate(titles)})
    assert [o.n[0] for o in res.frames.values()]==list(range(7)) and not set(file_names(titles[:3])) & {''}
    files = sorted((res.save(tmp_path/'r')/'tables').iterdir())
    assert sorted(pd.read_csv(o).n[0] for o in files)==list(range(7))

def test_no_interval_without_width():
    "Ends that differ by the rounding of a root alone are one value, of every figure of a perfect judge"
    assert np.isnan(with_width((1-2e-16, 1.))).all() and with_width((.25, .25+1e-6))==(.25, .25+1e-6)
    t = np.tile([[1.,0.],[0.,1.],[0.,0.]], (8,1))
    perfect = judge(Judged(t*.8+.1, t, LabelSet(['toxic','insult'])), n_boot=60).tables['Each label: decisions']
    assert set(perfect.mcc)=={'1.000'} and set(perfect.f1)=={'1.000'}

def test_open_comments_are_counted():
    "Comments that are neither harmful nor harmless, as a label is not known, are said; all are told of"
    t = np.array([[1,np.nan],[0,0],[0,np.nan],[np.nan,np.nan],[0,1]])
    judged = Judged(np.full((5,2), .2), t, LabelSet(['toxic','insult']))
    assert '2 of 5 comments count on neither side' in verdict_words(judged)[-1]
    assert 'neither side' not in ' '.join(verdict_words(Judged(np.full((5,2), .2), np.nan_to_num(t), LabelSet(['toxic','insult']))))

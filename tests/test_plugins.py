"""One thing of each kind from outside, as a script of a user's own adds it: a loss, a rule, a measure, a figure, a backend, a corpus,
a setting for sweeps. Each is one function or class and one line; whatever reads the table finds it, and no file of the library is touched.
Crosses all wings."""
import re

import matplotlib.pyplot as plt,numpy as np,pandas as pd,pytest
from fastai.callback.tracker import EarlyStoppingCallback

from toxicai.all import *
from toxicai.text.rules import add_rule,known_rules,rule
from toxicai.serve.backends import Backend,add_backend,backends
from toxicai.judge.measures import add_measure,measure_table
from toxicai.judge.figures import add_figure,report_figures
from toxicai.data.corpora import Corpus,Layout,known_corpora
from toxicai.train.losses import MaskedBCELoss,add_loss,loss_classes
from toxicai.runs.configs import Setting,SettingError,sweepable,train_config
from toxicai.runs.sweeps import sweep
from toxicai.test_utils import comments,tiny_checkpoint

tables = dict(loss=loss_classes, rule=known_rules, measure=measure_table, figure=report_figures, backend=backends, corpus=known_corpora, setting=sweepable)

@pytest.fixture(autouse=True)
def as_before():
    "What a test adds is gone after it"
    kept = {k:dict(o) for k,o in tables.items()}
    yield
    for k,o in tables.items():
        o.clear()
        o.update(kept[k])

def learner(df=None, path='.', **kwargs):
    "A tiny learner of two labels; `rules` are for the loaders"
    loading = {k:kwargs.pop(k) for k in ('rules',) if k in kwargs}
    df = comments(48) if df is None else df
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), label_cols=['toxic','insult'], bs=8, path=path, **loading)
    return toxicity_learner(dls, precision='fp32', seed=1, **kwargs)

def fitted(learn):
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-3)
    return learn

# A loss

def add_absolute():
    @add_loss('absolute')
    class AbsoluteLoss(MaskedBCELoss):
        "Mean absolute error of the probabilities"
        def sides(self, logits): return 1-logits.sigmoid(),logits.sigmoid()
    return AbsoluteLoss

def test_loss(tmp_path):
    "Trains by its name with the weights, gaps and thresholds of the others, is served, and can be swept"
    cls = add_absolute()
    learn = fitted(learner(path=tmp_path, loss_func='absolute'))
    valid_loss = learn.recorder.values[0][1]
    with learn.no_bar(): probs,targs = learn.get_preds()
    assert type(learn.loss_func) is cls and np.isclose(valid_loss, (probs-targs).abs().mean(), atol=1e-5)
    texts = comments(4).text.tolist()
    served = Detector(learn.save_detector(tmp_path/'folder'), 'torch').scores(texts)
    np.testing.assert_allclose(served, learn.classify(texts)[['toxic','insult']].to_numpy(), atol=1e-5)
    swept = train_config(dict(loss='absolute', class_weight=[1.,2.]), comments(48), checkpoint=tiny_checkpoint(), label_cols=['toxic','insult'], bs=8)
    assert type(swept.loss_func) is cls and swept.loss_func.weight.tolist()==[1,2]

def test_loss_is_gone():
    with pytest.raises(ValueError, match="no loss 'absolute'"): learner(loss_func='absolute')

# A normalisation rule

def price_edits(text, sign): return [(*m.span(),sign) for m in re.finditer(r'\$\d+', text)]

def test_rule(tmp_path):
    "Stands in loaders, goes with the folder by its name, and normalises there"
    add_rule('prices', price_edits, needs=r'\$', default='moron')
    assert rule('prices:free')('Was $5')=='Was free' and Rules(['prices'])('$5')=='moron'
    learn = fitted(learner(rules=['prices'], path=tmp_path))
    assert text_tfm(learn.dls).encoder.rules==Rules(['prices'])
    folder = learn.save_detector(tmp_path/'folder')
    served = Detector(folder, 'torch').scores(['you $5','you moron'])
    np.testing.assert_allclose(served[0], served[1], atol=1e-6)
    np.testing.assert_allclose(served, learn.classify(['you $5','you moron'])[['toxic','insult']].to_numpy(), atol=1e-5)
    del known_rules['prices']
    with pytest.raises(ValueError, match='prices'): Detector(folder, 'torch')

# A measure

def test_measure(tmp_path):
    "A row of reports with its interval, a column of the Recorder, and a goal of sweeps"
    def excess(targs, flags): return flags.sum()/targs.sum()-1
    add_measure('excess', excess, flags=True)
    learn = fitted(learner(metrics=label_metrics('excess', ['toxic','insult'], per_label=True)))
    shown = learn.recorder.values[0][-2:]
    judged = learn.judged()
    want = [excess(t==1, f) for t,f in zip(judged.targs.T, judged.flags().T)]
    np.testing.assert_allclose(shown, want, rtol=1e-6)
    per = next(o for o in judge(judged, n_boot=20).frames.values() if 'excess' in set(o.get('metric', [])))
    np.testing.assert_allclose(per[per.metric=='excess'].value[-2:], want, rtol=1e-6)
    assert 'excess' in judge(judged, n_boot=0).to_markdown()
    plan = dict(name='m', method='grid', metric=dict(name='valid/excess', goal='minimize'), parameters=dict(lr=dict(values=[1e-3]), freeze_epochs=dict(value=0)))
    pytest.importorskip('sweeps')
    args = dict(checkpoint=tiny_checkpoint(), label_cols=['toxic','insult'], bs=8, metrics=label_metrics('excess'))
    assert 'valid/excess' in sweep(plan, comments(48), folder=tmp_path/'s', **args).results()

def test_measure_is_gone():
    with pytest.raises(ValueError, match="'excess'"): label_metrics('excess')

# A figure

def test_figure(tmp_path):
    "Drawn for what it applies to, shown on the page, and saved beside the others"
    @add_figure('counts', 'Texts of each class', applies=lambda judged: len(judged.labels)>1)
    def counts_figure(judged):
        fig,ax = plt.subplots()
        ax.bar(list(judged.labels), np.nansum(judged.onehot(), 0))
        plt.close(fig)
        return fig
    report = judge(learner().judged(), n_boot=0)
    bars = report.figures['counts'].axes[0].patches
    assert [o.get_height() for o in bars]==np.nansum(report.judged.onehot(), 0).tolist()
    assert 'Texts of each class' in report.to_html()
    report.save(tmp_path/'r')
    assert (tmp_path/'r'/'figures'/'counts.png').exists() or list((tmp_path/'r').rglob('counts.png'))
    one = Judged(np.array([[.2],[.7]]), np.array([[0],[1]]), LabelSet(['toxic'], 'multi'))
    assert 'counts' not in judge(one, n_boot=0).figures

# A backend

def open_even(folder, path, threads, at_once):
    "No opinion on any text"
    return lambda x: np.zeros((len(x['input_ids']), len(folder.labels)))

def test_backend(tmp_path):
    "A `Detector` answers with it by its name"
    add_backend(Backend('even', library='numpy', install='numpy', open=open_even))
    folder = learner(path=tmp_path).save_detector(tmp_path/'folder')
    d = Detector(folder, 'even')
    np.testing.assert_allclose(d.scores(comments(5).text.tolist()), 0.5)
    assert 'even' in repr(d) and Detector(folder).scores(['you idiot']).ravel().tolist()!=[0.5,0.5]
    del backends['even']
    with pytest.raises(ValueError, match='even'): Detector(folder, 'even')

# A corpus

def test_corpus(tmp_path, monkeypatch):
    "Loaded by its name, with its labels, listed in the catalogue, and trained on"
    monkeypatch.setenv('TOXICAI_DATA', str(tmp_path))
    layout = Layout(('comment','rating'), {'comment':'text', 'rating':'toxic'}, {'toxic':{'bad':'1', 'good':'0'}})
    known_corpora['forum'] = Corpus('forum', 'Posts of our forum', rows=48, language='en', kind='multi', labels=('toxic',), licence='ours',
                                    citation='nobody', layouts=(layout,))
    df = comments(48)
    pd.DataFrame(dict(comment=df.text, rating=np.where(df.toxic, 'bad', 'good'))).to_csv(tmp_path/'forum.csv', index=False)
    loaded = load_comments('forum')
    assert list(loaded.labels)==['toxic'] and loaded.to_frame().toxic.tolist()==df.toxic.tolist() and catalog().here['forum']
    dls = ToxicityDataLoaders.from_df(loaded, tiny_checkpoint(), bs=8)
    learn = fitted(toxicity_learner(dls))
    assert list(learn.labels)==['toxic'] and list(learn.classify('well done').columns[-1:])
    del known_corpora['forum']
    with pytest.raises(FileNotFoundError, match="'forum' is neither"): load_comments('forum')

# A sweepable setting

def early_end(epochs, settings): return EarlyStoppingCallback(patience=epochs)

def test_setting(tmp_path):
    "A plan varies it, and it ends the fits"
    pytest.importorskip('sweeps')
    sweepable['patience'] = Setting('callbacks', 'Epochs without progress that end the fit', make=early_end)
    parameters = dict(patience=dict(values=[1,2]), lr=dict(value=0.), epochs=dict(value=4), freeze_epochs=dict(value=0))
    plan = dict(name='s', method='grid', metric=dict(name='valid/loss', goal='minimize'), parameters=parameters)
    args = dict(checkpoint=tiny_checkpoint(), label_cols=['toxic','insult'], bs=8)
    s = sweep(plan, comments(48), folder=tmp_path/'s', **args)
    n_epochs = {o['config']['patience']:len(o['history']) for o in s.runs}
    assert 0<n_epochs[1]<n_epochs[2]<4 and {o['state'] for o in s.runs}=={'finished'}
    assert len(train_config(dict(patience=1, **{k:v['value'] for k,v in parameters.items() if 'value' in v}), comments(48), **args).recorder.values)==2
    del sweepable['patience']
    with pytest.raises(SettingError, match="no setting 'patience'"): train_config(dict(patience=1), comments(48), **args)

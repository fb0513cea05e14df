"A learner's names: of a trained head by every door, of other loaders, of harmless classes in its folder, of columns; and what losses of torch call a probability (crosses text, data, serve)"
import copy,json,pickle,warnings

import numpy as np,pandas as pd,pytest,torch
from fastai.data.block import CategoryBlock,DataBlock,MultiCategoryBlock,RegressionBlock
from fastai.data.transforms import ColReader,RandomSplitter
from fastai.callback.tracker import SaveModelCallback
from fastai.learner import Learner,load_learner
from fastai.losses import BCELossFlat,L1LossFlat
from fastai.metrics import accuracy,accuracy_multi
from fastai.text.data import TextDataLoaders
from fastcore.basics import noop
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification,pipeline
from toxicai.labels import *
from toxicai.probabilities import Calibration
from toxicai.serve.all import *
from toxicai.data.all import *
from toxicai.train.all import *
from toxicai.train.learner import check_outputs
from toxicai.text.models import load_transformer
from toxicai.text.tokenizer import load_tokenizer
from toxicai.test_utils import comments,tiny_checkpoint

df = comments(48)
some = ['you write like a fool', 'the soup was cold', 'moron']
ck = tiny_checkpoint()

def loaders(checkpoint=ck, label_cols='label', names=None, data=df, **kwargs):
    if names: data = data.assign(label=data.label.map(names))
    return ToxicityDataLoaders.from_df(data, checkpoint, label_cols=label_cols, bs=8, rules='none', **kwargs)

def classified(learn):
    with learn.no_bar(): return learn.classify(some)

def elsewhere(path, names, problem='single_label_classification'):
    "A fine-tuned checkpoint that toxicai did not write"
    model = load_transformer(ck, names, problem)
    torch.nn.init.normal_(model.classifier.weight), torch.nn.init.normal_(model.classifier.bias)
    model.save_pretrained(path)
    load_tokenizer(ck).save_pretrained(path)
    return path

def by_pipeline(path): # Class -> probabilities of `some`
    rows = [{o['label']:o['score'] for o in r} for r in pipeline('text-classification', str(path), top_k=None, device='cpu')(some)]
    return pd.DataFrame(rows)

def dblock(checkpoint):
    return DataBlock((TransformerTextBlock(checkpoint, rules='none'), CategoryBlock), get_x=ColReader('text'), get_y=ColReader('label'),
                     splitter=RandomSplitter(seed=1)).dataloaders(df, bs=8)

doors = dict(df=lambda o: toxicity_learner(loaders(o)), datablock=lambda o: toxicity_learner(dblock(o)), lora=lambda o: toxicity_learner(loaders(o), lora=2),
             other_checkpoint=lambda o: toxicity_learner(loaders(ck), checkpoint=o), keep=lambda o: toxicity_learner(loaders(o), head='keep'),
             middle=lambda o: TransformerLearner(loaders(o), load_transformer(o, ['kind','rude']).eval(), lr=1e-3))

@pytest.mark.parametrize('door', doors)
def test_doors(door, tmp_path):
    "The classes of `kind`, `rude` loaders read a head that has them the other way round, by each way to a learner"
    if door=='lora': pytest.importorskip('peft')
    want = by_pipeline(elsewhere(tmp_path/'a', ['rude','kind']))
    learn = doors[door](tmp_path/'a')
    got = classified(learn)
    for k in ('kind','rude'): np.testing.assert_allclose(got[k], want[k], atol=1e-5)
    served = Detector(learn.save_detector(tmp_path/'b'), 'torch')
    np.testing.assert_allclose(served(some)['rude'], want.rude, atol=1e-5)
    assert served.flagged(some[0])==(want.rude[0]>0.5)

@pytest.mark.parametrize('pooled', [False,True])
def test_own_folder(pooled, tmp_path, capsys):
    "A folder of ours under another vocabulary: the same classes, some of them, others"
    learn = toxicity_learner(loaders(label_cols=['toxic','insult']), pooling='mean' if pooled else 'own')
    torch.nn.init.normal_(learn.model.classifier.weight)
    folder,want = learn.save_detector(tmp_path/'a'),classified(learn)
    for cols in (['insult','toxic'], ['insult']):
        got = classified(toxicity_learner(loaders(folder, cols)))
        for k in cols: np.testing.assert_allclose(got[k], want[k], atol=1e-5)
    with pytest.warns(UserWarning, match=r"do not give \['threat'\]"): again = toxicity_learner(loaders(folder, ['threat','toxic'], data=df.assign(threat=df.insult)))
    np.testing.assert_allclose(classified(again).toxic, want.toxic, atol=1e-5)
    capsys.readouterr()
    toxicity_learner(loaders(folder))
    assert (said := capsys.readouterr()).out.count('is left out: its outputs')==1 and not said.err

def test_outputs_of_a_network(tmp_path):
    "A network that the user made: its names are those of the loaders, in their order"
    dls = loaders()
    make = lambda *names: AutoModelForSequenceClassification.from_pretrained(elsewhere(tmp_path/'-'.join(names), names))
    for names in (('rude','kind'), ('a','b'), ('kind','rude','spam')):
        with pytest.raises(ValueError, match='same order'): TransformerLearner(dls, make(*names), lr=1e-3)
    for names in (('kind','rude'), ('Kind','RUDE'), ('LABEL_0','LABEL_1')): check_outputs(dls, make(*names))
    with pytest.raises(ValueError, match='same order'): check_outputs(dls, make('LABEL_0','LABEL_1','LABEL_2'))

def test_folder_knows_harmless(tmp_path):
    "Asked for when the folder is written, stored, and read by whatever flags"
    dls = loaders(names=dict(kind='neutral', rude='OTHER'))
    learn = toxicity_learner(dls)
    with torch.no_grad(): learn.model.classifier.weight.zero_(), learn.model.classifier.bias.copy_(torch.tensor([9.,0.])) # OTHER, neutral
    with pytest.raises(ValueError, match="do not tell which classes are harmless.*save_detector"): learn.save_detector(tmp_path/'a')
    assert not (tmp_path/'a').exists()
    for clean,flagged in (('neutral',True), (['OTHER'],False), ([],True)):
        folder = learn.save_detector(tmp_path/'a', clean=clean)
        d = Detector(folder, 'torch')
        assert d.flagged('thank you')==flagged and pickle.loads(pickle.dumps(d)).flagged('thank you')==flagged
        assert json.loads((folder/'toxicai.json').read_text())['labels']['clean']==([clean] if isinstance(clean, str) else clean)
    told = toxicity_learner(dls, clean='OTHER')
    assert told.labels.clean==('OTHER',) and Detector(told.save_detector(tmp_path/'b'), 'torch').labels.clean==('OTHER',)
    told.labels = told.labels.with_clean('neutral')
    with told.no_bar(): assert told.behaviour_report().label=='OTHER' # of two classes the one that counts
    with pytest.raises(ValueError, match='harmless class'): told.bias_report(label='neutral')
    meta = json.loads((folder/'toxicai.json').read_text())
    del meta['labels']['clean']
    (folder/'toxicai.json').write_text(json.dumps(meta))
    old = Detector(folder, 'torch')
    with pytest.raises(ValueError, match='folder does not say which.*with_clean'): old.flagged('thank you')
    old.labels = old.labels.with_clean('OTHER')
    assert not old.flagged('thank you') and old.flagged('thank you', classes=['OTHER'])

@pytest.mark.parametrize('labels', [dict(kind=0, rude=1), dict(kind=False, rude=True), dict(kind='no', rude='yes')])
def test_two_classes_of_a_block(labels, tmp_path):
    "Of two classes that say no and yes, yes counts"
    data = df.assign(label=df.label.map(labels))
    dls = DataBlock((TransformerTextBlock(ck), CategoryBlock), get_x=ColReader('text'), get_y=ColReader('label'), splitter=RandomSplitter(seed=1)).dataloaders(data, bs=8)
    learn = toxicity_learner(dls)
    for i in (0,1):
        with torch.no_grad(): learn.model.classifier.weight.zero_(), learn.model.classifier.bias.copy_(torch.eye(2)[i]*9)
        assert Detector(learn.save_detector(tmp_path/'a'), 'torch').flagged('x')==bool(i)

def test_flags_with_harmless_column(tmp_path):
    learn = toxicity_learner(loaders(label_cols=['toxic','harmless'], data=df.assign(harmless=1-df.toxic)))
    for thresh,flagged in (([.99,.01],False), ([.01,.99],True)):
        learn.labels = learn.labels.with_thresholds(thresh)
        assert Detector(learn.save_detector(tmp_path/'a'), 'torch').flagged('thank you')==flagged

def test_other_loaders(tmp_path):
    "More data for the same learner: labels, thresholds, tables and folder say the same; what is something else is refused"
    learn = toxicity_learner(loaders(label_cols=['toxic','insult']))
    learn.labels = learn.labels.with_thresholds({'insult':0.2})
    want,more = classified(learn),comments(96)
    def same():
        assert learn.labels.names==('toxic','insult')==tuple(learn.dls.vocab) and learn.labels.thresholds==(0.5,0.2)
        pd.testing.assert_frame_equal(classified(learn), want)
        with learn.no_bar(): learn.validate(), learn.predict('x'), learn.judged()
        assert Detector(learn.save_detector(tmp_path/'a'), 'torch').labels==learn.labels
    for dls in (loaders(label_cols=['toxic','insult'], data=more), loaders(label_cols=['insult','toxic'], vocab=['toxic','insult'], data=more, max_length=64)):
        learn.dls = dls
        assert learn.dls is dls
        same()
    mine = learn.dls
    refused = {'other order':(loaders(label_cols=['insult','toxic']), r"vocab=\['toxic', 'insult'\]"), 'other names':(loaders(label_cols=['toxic','rude'], data=df.assign(rude=df.insult)), 'rename the classes'),
               'fewer':(loaders(label_cols=['toxic']), r"the learner has \['toxic', 'insult'\]"), 'single':(loaders(), 'single'),
               'other tokens':(loaders(tiny_checkpoint('gpt2'), ['toxic','insult']), 'encoded for'), 'longer':(loaders(label_cols=['toxic','insult'], max_length=500), 'beyond the 128')}
    for name,(dls,msg) in refused.items():
        with pytest.raises(ValueError, match=msg): learn.dls = dls
        assert learn.dls is mine, name
    for o in (TextDataLoaders, None, []):
        with pytest.raises(Exception): learn.dls = o
    same()
    with learn.no_bar(),learn.no_logging(): learn.fit(1)

def test_loaders_of_copies(tmp_path):
    "Copies and exported learners keep the rule"
    learn,other = toxicity_learner(loaders(path=tmp_path)),loaders(names=dict(kind='a', rude='b'))
    learn.export()
    for o in (copy.deepcopy(learn), pickle.loads(pickle.dumps(learn)), load_learner(tmp_path/'export.pkl')):
        with pytest.raises(ValueError, match='rename the classes'): o.dls = other
        o.dls = loaders(data=comments(96))
        with o.no_bar(),o.no_logging(): o.fit(1)

def test_loaders_without_names():
    "Numbers have no names; their count must agree"
    block = DataBlock((TransformerTextBlock(ck), RegressionBlock), get_x=ColReader('text'), get_y=ColReader('y'), splitter=RandomSplitter(seed=1))
    data = df.assign(y=np.linspace(0, 3, len(df)))
    learn = toxicity_learner(block.dataloaders(data, bs=8))
    learn.dls = block.dataloaders(data[:32], bs=8)
    with pytest.raises(ValueError, match='regression'): learn.dls = loaders()

@pytest.mark.parametrize('lora', [None,2])
@pytest.mark.parametrize('with_opt', [True,False])
def test_weights_of_other_classes(tmp_path, with_opt, lora):
    "`load` takes weights for the same classes in the same order alone; a refusal leaves the weights as they were"
    if lora: pytest.importorskip('peft')
    data = df.assign(rude=df.insult)
    def new(*cols, **kwargs): return toxicity_learner(loaders(label_cols=list(cols), data=data, path=tmp_path, **kwargs), lora=lora)
    a = new('toxic','insult')
    with a.no_bar(),a.no_logging(): a.fit(1)
    file = a.save('w', with_opt=with_opt)
    state = torch.load(file, weights_only=True)
    assert set(state['model'] if with_opt else state)==set(a.model.state_dict()) # as fastai writes it
    for b,msg in ((new('insult','toxic'), r"make the loaders with `vocab=\['toxic', 'insult'\]`"), (new('toxic','rude'), 'as it was when they were saved'),
                  (new('toxic'), r"the learner has \['toxic'\]"), (toxicity_learner(loaders(path=tmp_path), lora=lora), r"\['kind', 'rude'\] \(single\)")):
        before = {k:v.clone() for k,v in b.model.state_dict().items()}
        with pytest.raises(ValueError, match=msg): b.load('w', with_opt=with_opt)
        assert all(torch.equal(v, before[k]) for k,v in b.model.state_dict().items())
    for b in (new('toxic','insult'), new('insult','toxic', vocab=['toxic','insult'])):
        pd.testing.assert_frame_equal(classified(b.load('w', with_opt=with_opt)), classified(a))
        torch.save(a.model.state_dict(), tmp_path/'models'/'plain.pth')
        with pytest.warns(UserWarning, match="'plain' does not say which classes"): b.load('plain', with_opt=False)

def test_best_weights_of_other_classes(tmp_path):
    "What fastai's callbacks and its own learner write and read"
    a,b = [toxicity_learner(loaders(label_cols=o, path=tmp_path)) for o in (['toxic','insult'], ['insult','toxic'])]
    with a.no_bar(),a.no_logging(): a.fit(1, cbs=SaveModelCallback(fname='best'))
    with pytest.raises(ValueError, match="'best' has weights for"): b.load('best')
    stock = Learner(a.dls, a.model, loss_func=a.loss_func, cbs=HFInputs(), path=tmp_path)
    stock.load('best')
    stock.save('stock')
    with pytest.warns(UserWarning, match="'stock' does not say"): a.load('stock')

@pytest.mark.parametrize('lora', [None,2])
def test_other_network(lora):
    "A network in the place of another keeps its names; what is for other classes is refused, and the old one stays"
    if lora: pytest.importorskip('peft')
    def new(*cols, **kwargs): return toxicity_learner(loaders(label_cols=list(cols), data=df.assign(rude=df.insult), **kwargs), lora=lora)
    a,own = new('toxic','insult'),new('insult','toxic', vocab=['toxic','insult']).model
    for b in (new('insult','toxic'), new('toxic','rude'), new('toxic')):
        mine = b.model
        with pytest.raises(ValueError, match=r"the network has the outputs \['toxic', 'insult'\]"): b.model = a.model
        assert b.model is mine and len(b.model.state_dict())
    a.model = own
    with a.no_bar(),a.no_logging(): a.fit(1)
    assert a.model is own and copy.deepcopy(a).model is not own and classified(a).shape==(3,3)

plain = [('label', nn.CrossEntropyLoss(), 'softmax'), ('label', nn.CrossEntropyLoss(label_smoothing=.1, weight=torch.tensor([1.,2.])), 'softmax'), ('label', F.cross_entropy, 'softmax'),
         ('label', lambda x,y,reduction='mean': F.nll_loss(x.log_softmax(-1), y, reduction=reduction), 'softmax'),
         (['toxic','insult'], nn.BCEWithLogitsLoss(), 'sigmoid'), (['toxic','insult'], F.binary_cross_entropy_with_logits, 'sigmoid'), (['toxic','insult'], nn.MultiLabelSoftMarginLoss(), 'sigmoid')]

@pytest.mark.parametrize('cols, loss, act', plain)
def test_plain_losses(cols, loss, act, tmp_path):
    "The value is torch's, and everything that shows a probability shows the same one"
    learn = toxicity_learner(loaders(label_cols=cols, path=tmp_path), loss_func=loss, metrics=accuracy if cols=='label' else accuracy_multi)
    with learn.no_bar(),learn.no_logging():
        learn.fit(1, 1e-2)
        dl = learn.dls.test_dl(some)
        logits = learn.get_preds(dl=dl, act=noop)[0]
        want = getattr(logits, act)(-1) if act=='softmax' else logits.sigmoid()
        for o in (learn.get_preds(dl=dl)[0], torch.tensor(learn.classify(some).iloc[:,1:].to_numpy()), torch.stack([learn.predict(o)[2] for o in some])): torch.testing.assert_close(o, want, rtol=0, atol=1e-5)
        name,_,probs = learn.predict(some[0])
        names = np.array(learn.labels.names)
        assert name==(names[int(probs.argmax())] if act=='softmax' else names[(probs>=0.5).numpy()].tolist())
        judged,(p,y,each) = learn.judged(),learn.get_preds(act=noop, with_loss=True)
        np.testing.assert_allclose(judged.probs, learn.get_preds()[0], atol=1e-5)
        assert each.shape==(len(p),) and learn.get_preds(with_loss=True)[2].mean()==pytest.approx(float(each.mean()), rel=1e-5)
        assert learn.loss_func(p, y)==pytest.approx(float(loss(p, y)), rel=1e-5)
        learn.show_results(max_n=2), learn.report(n_boot=0)
    served = Detector(learn.save_detector(tmp_path/'d'), 'torch').scores(some)
    np.testing.assert_allclose(served, want, atol=1e-5)
    if getattr(loss, '__name__', '')=='<lambda>': return # which no pickle takes
    learn.export()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        np.testing.assert_allclose(classified(load_learner(tmp_path/'export.pkl')).iloc[:,1:], want, atol=1e-5)

wrong = [('label', nn.NLLLoss(), 'does not take the logits'), ('label', F.nll_loss, 'does not take the logits'), ('label', nn.BCEWithLogitsLoss(), "kind 'single'"), ('label', nn.L1Loss(), "kind 'single'"),
         ('label', nn.MultiMarginLoss(), 'does not take'), (['toxic','insult'], nn.CrossEntropyLoss(), "kind 'multi'"), (['toxic','insult'], nn.BCELoss(), 'does not take the logits'), (['toxic'], nn.MSELoss(), "kind 'multi'"),
         ('label', L1LossFlat(), 'no probabilities'), (['toxic'], BCELossFlat(), 'no probabilities')]

@pytest.mark.parametrize('cols, loss, msg', wrong)
def test_wrong_losses(cols, loss, msg):
    with pytest.raises(ValueError, match=msg): toxicity_learner(loaders(label_cols=cols), loss_func=loss)

def test_device_of_factors(device):
    "Factors of a loss of torch go where the logits are"
    from toxicai.train.losses import plain_loss
    logits,y = torch.randn(6, 2, device=device),torch.tensor([0,1,1,0,1,1], device=device)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.,3.]))
    assert plain_loss(loss, 'single')(logits, y).item()==pytest.approx(float(F.cross_entropy(logits.cpu(), y.cpu(), torch.tensor([1.,3.]))), rel=1e-5)

def test_loss_set_by_hand():
    "A loss that takes the place of another later on"
    learn = toxicity_learner(loaders())
    want = classified(learn)
    learn.loss_func = nn.CrossEntropyLoss()
    pd.testing.assert_frame_equal(classified(learn), want)
    with learn.no_bar(): np.testing.assert_allclose(learn.predict(some[0])[2], want.iloc[0,1:].astype(float), atol=1e-6)
    learn.loss_func = nn.NLLLoss()
    with pytest.raises(ValueError, match='does not take the logits'): learn.get_preds()
    weighted = loaders(data=df.assign(w=1.), weight_col='w')
    for o in (nn.CrossEntropyLoss(), toxicity_learner(loaders(), loss_func=nn.CrossEntropyLoss()).loss_func):
        with pytest.raises(ValueError, match='would ignore'): toxicity_learner(weighted, loss_func=o)

def test_plain_thresholds(tmp_path):
    "Thresholds and calibration of the labels reach a loss of torch as they reach ours"
    learn = toxicity_learner(loaders(label_cols=['toxic','insult']), loss_func=nn.BCEWithLogitsLoss())
    learn.labels = learn.labels.with_thresholds([0.01,0.99]).with_calibration(Calibration('temperature', [(3.,)]*2))
    with learn.no_bar():
        assert learn.predict('x')[0]==['toxic']
        probs = classified(learn)
    np.testing.assert_allclose(Detector(learn.save_detector(tmp_path/'d'), 'torch').scores(some), probs[['toxic','insult']], atol=1e-5)

@pytest.mark.parametrize('a, b', [('toxic','toxic_flag'), ('toxic','truncated'), ('texts','n_tokens'), ('text','insult'), ('text','text_score'), ('label','index')])
def test_names_of_columns(a, b, tmp_path):
    "Classes that are called like a column: every score is in the table once, under the class or the class with `_score`"
    data = pd.DataFrame({'comment':df.text, a:df.toxic, b:df.insult})
    text = 'text' if 'text' in (a,b) else 'comment'
    dls = DataBlock((TransformerTextBlock(ck, rules='none'), MultiCategoryBlock(encoded=True, vocab=[a,b])), get_x=ColReader(text), get_y=ColReader(['ya','yb']),
                    splitter=RandomSplitter(seed=1)).dataloaders(pd.DataFrame({text:df.text, 'ya':df.toxic, 'yb':df.insult}), bs=8) if text=='text' else loaders(label_cols=[a,b], data=data, text_col='comment')
    learn = toxicity_learner(dls)
    with learn.no_bar(): got = learn.classify(pd.DataFrame({text:some})) if text=='text' else learn.classify(some)
    assert got.columns.is_unique and got.columns[0]==text and got[text].tolist()==some
    res = Detector(learn.save_detector(tmp_path/'d'), 'torch')(some, 'all')
    frame = res.to_frame()
    assert frame.columns.is_unique and frame.shape[1]==10
    for i,k in enumerate((a,b)):
        np.testing.assert_allclose(got.iloc[:,1+i], res.scores[:,i], atol=1e-5)
        np.testing.assert_allclose(frame[columns_of_classes([a,b], ['n_tokens','truncated','texts'], ['','_flag','_logit'])[i]], res.scores[:,i])
    assert frame.truncated.tolist()==res.truncated.tolist() and frame.texts.tolist()==res.texts and frame.n_tokens.tolist()==res.n_tokens.tolist()

def test_names_apart():
    "Two spellings of one name are refused where the labels are made, and frames with such columns can be shown"
    for names in (dict(rude='\u00e9', kind='e\u0301'), dict(rude='Rude', kind='rude ')):
        with pytest.raises(ValueError, match='told apart|several ways'): toxicity_learner(loaders(names=names))
        with pytest.raises(ValueError, match='told apart'): toxicity_learner(loaders(names=names, vocab=[*names.values()]))
    from toxicai.tables import html_table,text_grid
    odd = pd.DataFrame([[1,2]], columns=['\u00e9','e\u0301'])
    assert '<td' in html_table(odd) and len(text_grid(odd))==2 and '1' in repr(CommentTable(odd))

"Each name of `sweepable` reaches what it is for: the optimizer, the loss, the loader, the network or the course of the fit"
import inspect

import numpy as np,pandas as pd,pytest,torch
from fastai.callback.core import Callback
from fastai.callback.training import GradientClip
from torch import nn

from toxicai.all import *
from toxicai.data.encode import all_targets
from toxicai.runs.configs import *
from toxicai.test_utils import comments,tiny_checkpoint

class Probe(Callback):
    "What a fit really did"
    order = 69
    def __init__(self): self.lrs,self.wds,self.shapes,self.norms,self.trained,self.epochs,self.losses = [],[],[],[],[],[],[]
    def before_fit(self):
        self.epochs.append(self.n_epoch)
        self.made = {type(o).__name__:o for o in self.learn.cbs}
    def after_batch(self):
        if not self.training: return
        self.lrs.append([h['lr'] for h in self.opt.hypers]); self.wds.append(self.opt.hypers[-1]['wd'])
        self.shapes.append(tuple(self.x.shape)); self.losses.append(self.loss.item())
        self.trained.append([any(p.requires_grad for p in ps) for ps in self.opt.param_lists])
        self.norms.append(float(nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])) if any(p.grad is not None for p in self.model.parameters()) else 0.)

class Norm(Callback):
    "Norm of the gradient after clipping"
    order,run_valid = 12,False
    def __init__(self): self.seen = []
    def before_step(self): self.seen.append(float(nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])))

def trained(config, df=None, **fixed):
    "Learner and probe"
    probe,norm = Probe(),Norm()
    base = dict(checkpoint=tiny_checkpoint(), label_cols=['toxic','insult'], bs=8, freeze_epochs=0, precision='fp32')
    learn = train_config(config, comments(72) if df is None else df, cbs=[probe,norm], **{**{k:v for k,v in base.items() if k not in config}, **fixed})
    probe.clipped = norm.seen
    return learn,probe

def head_dropout(learn): return learn.model.dropout.p
def rates(probe): return np.array(probe.lrs).max(0)

def _checkpoint(learn, probe): return learn.model.config.model_type=='distilbert' and text_tfm(learn.dls).checkpoint==str(tiny_checkpoint('distilbert'))
def _rules(learn, probe): return text_tfm(learn.dls).encoder.rules==Rules('strict')
def _balance(learn, probe): return np.isclose(learn.dls.train.row_chances.sum(), 1) and len(set(learn.dls.train.row_chances))>1
def _augment(learn, probe): return (learn.dls.train_ds.items.attack!='').sum()>15
def _share(learn, probe): # every word that can be changed is
    rows = learn.dls.train_ds.items
    new = rows[rows.attack!='']
    same = [len(set(a.split())&set(b.split()))/len(a.split()) for a,b in zip(rows.text.iloc[new.origin], new.text)]
    return np.mean(same)<0.35
def _seed(learn, probe):
    (a,pa),(b,pb) = trained(dict(seed=7)),trained(dict(seed=8))
    weights = lambda o: torch.cat([p.flatten() for p in o.model.parameters()])
    return learn.card()['seed']==7 and torch.equal(weights(learn), weights(a)) and probe.losses==pa.losses and not torch.equal(weights(a), weights(b))
def _windows(learn, probe): # rows of a batch hold all tokens of a text, and scores are those of a detector that reads windows
    enc = text_tfm(learn.dls).encoder
    return enc.long=='mean_windows' and max(o[2] for o in probe.shapes)>enc.max_length
def _linear(learn, probe): # down in a straight line
    lrs = np.array(probe.lrs)[:,-1]
    return np.ptp(np.diff(lrs[lrs.argmax():]))<1e-9
def _ema(learn, probe): return probe.made.get('EMA').decay==0.9
def _soup(learn, probe): return probe.made.get('Soup').k==2 and len(probe.made['Soup'].table)==2
def _unfreezing(learn, probe): return [sum(o) for o in (probe.trained[0],probe.trained[-1])]==[1,4]
def _precision(learn, probe): return learn.mixed_precision.used=='bf16'
def _warmup(learn, probe): return np.argmax([o[-1] for o in probe.lrs]) in range(int(.5*len(probe.lrs))-2, int(.5*len(probe.lrs))+2)
def _pos_weight(learn, probe):
    t = all_targets(learn.dls.train_ds.tls[1]).as_subclass(torch.Tensor)
    return learn.loss_func.pos_weight is not None and torch.allclose(learn.loss_func.pos_weight, ((1-t).sum(0)/t.sum(0)).float())

cases = dict( # name -> (value, what must then be true)
    augment=(1., _augment), attack_share=(1., _share), checkpoint=(tiny_checkpoint('distilbert'), _checkpoint),
    max_length=(6, lambda l,p: max(o[2] for o in p.shapes)==6), cut=('tail', lambda l,p: text_tfm(l.dls).encoder.cut=='tail'), rules=('strict', _rules),
    long=('mean_windows', _windows), bs=(5, lambda l,p: {o[0] for o in p.shapes}=={5}), balance=(1., _balance),
    pooling=('mean', lambda l,p: isinstance(l.model, MeanPoolClassifier)), dropout=(0.37, lambda l,p: head_dropout(l)==0.37),
    attn_dropout=(0.23, lambda l,p: any(isinstance(m, nn.Dropout) and m.p==0.23 for m in l.model.modules()) or l.model.bert.encoder.layer[0].attention.self.dropout.p==0.23),
    precision=('bf16', _precision), clip=(0.01, lambda l,p: max(p.clipped)<0.01001), wd=(0.3, lambda l,p: set(p.wds)=={0.3}),
    loss=('focal', lambda l,p: type(l.loss_func) is MaskedFocalLoss), class_weight=([1.,3.], lambda l,p: l.loss_func.weight.tolist()==[1,3]),
    pos_weight=('balanced', _pos_weight), label_smoothing=(0.1, lambda l,p: l.loss_func.label_smoothing==0.1),
    gamma=(3., lambda l,p: l.loss_func.gamma==3), alpha=(0.3, lambda l,p: l.loss_func.alpha==0.3), gamma_neg=(2., lambda l,p: l.loss_func.gamma_neg==2),
    gamma_pos=(0.5, lambda l,p: l.loss_func.gamma_pos==0.5), neg_clip=(0.2, lambda l,p: l.loss_func.clip==0.2),
    epochs=(3, lambda l,p: p.epochs==[3] and len(p.losses)==3*len(l.dls.train)), lr=(3e-3, lambda l,p: np.isclose(rates(p)[-1], 3e-3, rtol=.05)),
    lr_mult=(10., lambda l,p: np.isclose(rates(p)[-1]/rates(p)[0], 10)),
    decay=(0.5, lambda l,p: len(rates(p))==4 and np.allclose(rates(p)[1:]/rates(p)[:-1], 2)), # embeddings, two layers, head
    freeze_epochs=(2, lambda l,p: p.epochs==[2,1] and p.trained[0]==[False,False,True] and p.trained[-1]==[True]*3),
    schedule=('linear', _linear), ema=(0.9, _ema), soup=(2, _soup), unfreezing=(0.5, _unfreezing),
    lora=(3, lambda l,p: {v.shape[0] for k,v in l.model.named_parameters() if 'lora_A' in k}=={3} and all('lora_' in k or 'bert.enc' not in k for k,v in l.model.named_parameters() if v.requires_grad)),
    frozen=(2, lambda l,p: {tuple(o) for o in p.trained}=={(False,False,True)}), warmup=(0.5, _warmup), seed=(7, _seed))
beside = dict(attack_share=dict(augment=1.), long=dict(max_length=6), gamma=dict(loss='focal'), alpha=dict(loss='focal'), gamma_neg=dict(loss='asymmetric'), gamma_pos=dict(loss='asymmetric'), neg_clip=dict(loss='asymmetric'), warmup=dict(epochs=4), schedule=dict(epochs=2), soup=dict(epochs=2))

def test_every_name_has_a_case(): assert set(cases)==set(sweepable)

@pytest.mark.parametrize('name', cases)
def test_reaches(name):
    "True with the value, and not without"
    value,check = cases[name]
    assert check(*trained({name:value, **beside.get(name, {})}))
    if name not in ('seed','cut','checkpoint'): assert not check_or_false(check, *trained(beside.get(name, {})))

def check_or_false(check, *args):
    try: return bool(check(*args))
    except (AttributeError,KeyError): return False

def test_cut_keeps_the_tail():
    learn,_ = trained(dict(cut='tail', max_length=5))
    enc = text_tfm(learn.dls).encoder
    assert enc.decode(enc.encode(['what a stupid thing to say']).batch([0], enc)[0])=='thing to say'

def test_none_is_the_default():
    a,b = trained(dict(dropout=None, decay=None, clip=None))[0],trained({})[0]
    assert head_dropout(a)==head_dropout(b) and len(a.opt.param_lists)==3 and a._grab_cbs(GradientClip)[0].max_norm==1

def test_no_clip(): assert not trained(dict(clip=0))[0]._grab_cbs(GradientClip)

def test_split_is_the_same_for_all():
    rows = lambda l: sorted(l.dls.valid_ds.items.index)
    df = comments(72)
    a,b,c = [trained(o, df, **kw)[0] for o,kw in ((dict(seed=1), {}), (dict(seed=2), {}), (dict(seed=1), dict(split_seed=3)))]
    assert rows(a)==rows(b)!=rows(c)

@pytest.mark.parametrize('labels', ['label', ['toxic','insult']])
def test_copies_of_training_rows_only(labels):
    "Rows that validate are the same with and without copies, and no copy of one trains"
    df = comments(72).assign(text=[f'{o} number {i}' for i,o in enumerate(comments(72).text)])
    fixed = dict(label_cols=labels)
    a,b = trained({}, df, **fixed)[0],trained(dict(augment=1.), df, **fixed)[0]
    assert sorted(a.dls.valid_ds.items.text)==sorted(b.dls.valid_ds.items.text) and list(a.dls.vocab)==list(b.dls.vocab)
    plain = b.dls.train_ds.items[lambda o: o.attack=='']
    assert sorted(plain.text)==sorted(a.dls.train_ds.items.text) and len(b.dls.train_ds)>1.5*len(plain)

def test_copies_of_comments():
    "`Comments` keep their label set"
    data = load_comments(comments(72), text_col='text', label_cols=['toxic','insult'])
    learn = train_config(dict(augment=1., freeze_epochs=0), data, checkpoint=tiny_checkpoint(), bs=8)
    assert learn.dls.labels==data.labels and (learn.dls.train_ds.items.attack!='').any()

def test_pairs_have_no_copies():
    df = comments(48).assign(other='a reply')
    with pytest.raises(SettingError, match='one text column'): train_config(dict(augment=.5), df, text_col=['text','other'], label_cols='label', checkpoint=tiny_checkpoint())

def test_wrong_settings():
    with pytest.raises(SettingError, match=r"there is no setting 'learning_rate'.*expected some of .*\blr\b"): train_config(dict(learning_rate=1), comments())
    with pytest.raises(SettingError, match="'lables'.*did you mean 'labels'|no setting"): train_config({}, comments(), lables=1)
    with pytest.raises(SettingError, match='MaskedCELoss has no pos_weight'): trained(dict(pos_weight='balanced'), label_cols='label')
    with pytest.raises(ValueError, match="'loss' has the value 'hinge': expected one of"): trained(dict(loss='hinge'))

def test_default_checkpoint(monkeypatch):
    import toxicai.runs.configs
    monkeypatch.setattr(toxicai.runs.configs, 'packaged_encoder', lambda: tiny_checkpoint())
    assert text_tfm(config_loaders(dict(label_cols='label', bs=8), comments(48))).checkpoint==str(tiny_checkpoint())

lines_more = dict( # line of the table, and what must then be true
    network=(Setting('network', '', arg='dropout'), lambda l,p: head_dropout(l)==0.4),
    loaders=(Setting('loaders', '', arg='valid_pct'), lambda l,p: len(l.dls.valid_ds)>20),
    loss=(Setting('loss', '', arg='label_smoothing'), lambda l,p: l.loss_func.label_smoothing==0.4),
    fit=(Setting('fit', '', arg='lr_mult'), lambda l,p: np.isclose(rates(p)[-1]/rates(p)[0], 0.4)),
    callbacks=(Setting('callbacks', '', make=lambda decay,settings: EMA(decay)), lambda l,p: p.made['EMA'].decay==0.4))

@pytest.mark.parametrize('setting,then', lines_more.values(), ids=lines_more)
def test_a_line_more(monkeypatch, setting, then):
    "A line in the table is all that a setting needs; without it the name is wrong"
    monkeypatch.setitem(sweepable, 'mine', setting)
    assert then(*trained(dict(mine=0.4)))
    assert not check_or_false(then, *trained({}))
    monkeypatch.delitem(sweepable, 'mine')
    with pytest.raises(SettingError, match="no setting 'mine'"): trained(dict(mine=0.4))

def test_wrong_lines():
    with pytest.raises(SettingError, match="cannot reach 'optimizer'"): Setting('optimizer', '')
    for kw in (dict(place='callbacks'), dict(place='fit', make=EMA)):
        with pytest.raises(SettingError, match='`make`'): Setting(doc='', **kw)

# Values, before anything is loaded

wrong_values = [('lr','1e-4','a number; without quotes 0.0001 is one'), ('lr',True,'a number'), ('epochs',2.5,'a whole number'), ('epochs','3','without quotes 3 is one'), ('bs',[8],'a whole number'),
    ('loss','focl',"did you mean 'focal'"), ('cut','headtail',"did you mean 'head_tail'"), ('precision',16,"one of \\['auto'"), ('schedule','cosine','one_cycle'), ('long','window',"did you mean 'windows'"), ('long','head',"one of \\['truncate', 'windows', 'mean_windows'\\]"), ('long',True,'one of'), ('pooling','max','own'),
    ('class_weight','ballanced',"did you mean 'balanced'"), ('dropout','none','a number'), ('attn_dropout','automatic',"did you mean 'auto'"), ('ema','0.9','0.9 is one'), ('soup',2.,'a whole number'), ('checkpoint',3,'a text')]

@pytest.mark.parametrize('name,value,err', wrong_values, ids=str)
def test_wrong_values(name, value, err, monkeypatch):
    "Whether they vary or not, values that a setting does not have stop before the data are read"
    monkeypatch.setattr('toxicai.runs.configs.config_loaders', lambda *args: pytest.fail('data are read'))
    for config,fixed in (({name:value}, {}), ({}, {name:value})):
        with pytest.raises(SettingError, match=f'{name!r} has the value .*{err}'): train_config(config, comments(24), **fixed)

def test_values_that_are_right():
    "Numbers of NumPy, whole numbers for rates, factors of any sort, paths, and None for the default"
    from pathlib import Path
    check_values(dict(lr=np.float64(1e-3), gamma=2, bs=np.int64(8), pos_weight=torch.tensor([1.,2.]), class_weight=np.array([1.,2.]), alpha=[0.1,0.9], checkpoint=Path('x'), decay=None, lora=dict(r=4),
                      attn_dropout='auto', precision='bf16', rules=['urls'], my_own='anything'))
    assert sweepable['lr'].wants()=='a number' and Setting('fit', 'Anything').wants()=='any value'

@pytest.mark.parametrize('metrics,want', [(None, {'roc_auc','f1','accuracy','f1_score','rmse','mae'}), ('mcc, rmse', {'mcc','rmse'}), (['f1 insult', np.mean], {'f1 insult','mean'})])
def test_possible_metrics(metrics, want): assert set(possible_metrics({} if metrics is None else dict(metrics=metrics)))=={'train_loss','valid_loss',*want}

"Averages, soups, thawing, adapters and schedules: their values by hand, after a stop (with `runs`), in bf16, and in what is exported"
import sys,warnings
from pathlib import Path

import numpy as np,pytest,torch
from fastai.callback.core import Callback,CancelStepException
from fastai.callback.tracker import EarlyStoppingCallback,SaveModelCallback
from fastai.learner import load_learner
from transformers import get_linear_schedule_with_warmup

sys.path.append(str(Path(__file__).parents[1]/'runs')) # for its helpers, also where it is not collected
from test_checkpoints import StopAt,assert_same,call,learner,resumed
from toxicai.all import *
from toxicai.train.lora import has_lora,without_lora
from toxicai.train.averaging import check_whole,mean_state
from toxicai.data.store import check_stream
from toxicai.runs.snapshots import check_every
from toxicai.test_utils import archs,comments,tiny_checkpoint

def weights(model): return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]).astype(np.float64)

class Trace(Callback):
    "Weights after each step, rates, what is trained, and weights when validation begins"
    order = 46
    def __init__(self): self.after,self.valid,self.first,self.lrs,self.trained = [],[],[],[],[]
    def before_train(self): self.first.append(weights(self.model))
    def before_batch(self):
        if self.training: self.trained.append([any(p.requires_grad for p in o) for o in self.opt.param_lists])
    def before_step(self): self.lrs.append([h['lr'] for h in self.opt.hypers])
    def after_step(self): self.after.append(weights(self.model))
    def before_validate(self): self.valid.append(weights(self.model))

def fitted(cbs, verb='fit', args=(3,1e-2), make=learner, fit={}, **kwargs):
    "A learner after a fit, and its trace"
    learn,trace = make(**kwargs),Trace()
    call(learn, verb, *args, cbs=[*cbs,trace], **fit)
    return learn,trace

# Schedules

@pytest.mark.parametrize('warmup', [0, 0.25, 0.5])
def test_linear_is_that_of_transformers(warmup):
    learn,trace = fitted([], 'fit_linear', (2,1e-2), fit=dict(pct_start=warmup))
    n = len(trace.lrs)
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1e-2)
    sched,theirs = get_linear_schedule_with_warmup(opt, round(warmup*n), n),[]
    for _ in range(n):
        theirs.append(opt.param_groups[0]['lr'])
        opt.step(); sched.step()
    np.testing.assert_allclose(np.array(trace.lrs)[:,-1], theirs, atol=1e-9)

def test_linear_groups():
    "Each group has its own highest rate; `div` is where the warm-up starts"
    _,trace = fitted([], 'fit_linear', (2,[1e-4,1e-3,1e-2]), fit=dict(pct_start=0.5, div=10))
    lrs = np.array(trace.lrs)
    np.testing.assert_allclose(lrs[0], [1e-5,1e-4,1e-3])
    np.testing.assert_allclose(lrs[4], [1e-4,1e-3,1e-2])
    np.testing.assert_allclose(lrs[-1]/lrs[4], [0.25]*3)

def test_schedules_of_fine_tune():
    lin,cos = [np.array(fitted([], 'fine_tune', (2,1e-2), fit=dict(schedule=o))[1].lrs)[-7:,-1] for o in ('linear','one_cycle')]
    assert np.ptp(np.diff(lin))<1e-9 and np.ptp(np.diff(cos))>1e-4

@pytest.mark.parametrize('precision', ['fp32','bf16'])
def test_layer_rates(precision, tmp_path):
    "Every group has `decay` times the rate of the next, also after a stop"
    make = lambda seed=1: learner(seed, splitter=layerwise_splitter, precision=precision)
    traces = []
    def cbs():
        traces.append(Trace())
        return traces[-1:]
    assert_same(*resumed(make, 'fine_tune', (2,1e-2), tmp_path, 9, cbs, decay=0.5))
    for o in (traces[0].lrs[-1],traces[-1].lrs[-1]): np.testing.assert_allclose(np.array(o)[1:]/np.array(o)[:-1], [2,2,2])
    assert traces[0].lrs[-1]==traces[-1].lrs[-1]

# Moving average

def by_hand(after, decay):
    "The averages after each step"
    avg = [after[0]]
    for n,w in enumerate(after[1:], 1):
        d = min(decay, (1+n)/(10+n))
        avg.append(d*avg[-1]+(1-d)*w)
    return avg

@pytest.mark.parametrize('decay', [0.3, 0.999])
def test_ema_by_hand(decay):
    learn,trace = fitted([EMA(decay)])
    avg = by_hand(trace.after, decay)
    for i,o in enumerate(trace.valid): np.testing.assert_allclose(o, avg[4*i+3], atol=1e-6)
    np.testing.assert_allclose(weights(learn.model), avg[-1], atol=1e-6)
    for i in (1,2): assert (trace.first[i]==trace.after[4*i-1]).all(), "training goes on with other weights than it ended with"
    assert np.abs(avg[-1]-trace.after[-1]).max()>1e-3

def test_ema_does_not_touch_training():
    a,b = fitted([EMA()])[0],fitted([])[0]
    assert torch.equal(torch.stack(list(a.recorder.losses)), torch.stack(list(b.recorder.losses)))

def test_ema_validates_what_it_leaves():
    learn,_ = fitted([EMA()])
    said = learn.recorder.values[-1][1]
    assert call(learn, 'validate')[0]==said

def test_ema_in_the_last_fit_only():
    learn,trace = fitted([EMA(0.5)], 'fine_tune', (1,1e-2))
    assert (trace.valid[0]==trace.after[3]).all()
    np.testing.assert_allclose(weights(learn.model), by_hand(trace.after[4:], 0.5)[-1], atol=1e-6)

def test_ema_leaves_out_cancelled_steps():
    "In fp16 an overflow cancels the step"
    class Overflow(Callback):
        order = 1
        def before_step(self):
            if self.train_iter%2: raise CancelStepException
    class Count(Callback):
        order = 46
        def after_train(self): self.n = int(self.learn.ema.average.n_averaged)
    count = Count()
    fitted([EMA(), Overflow(), count], args=(1,1e-2))
    assert count.n==2

def test_trackers_save_the_average(tmp_path):
    "What `SaveModelCallback` keeps is what was validated"
    learn,trace = learner(),Trace()
    learn.path = tmp_path
    call(learn, 'fit', 3, 1e-2, cbs=[EMA(0.5), SaveModelCallback(monitor='valid_loss'), trace])
    best = int(np.argmin([o[1] for o in learn.recorder.values]))
    np.testing.assert_array_equal(weights(learn.model), trace.valid[best])

def test_ema_after_an_early_end():
    learn,trace = fitted([EMA(0.5), EarlyStoppingCallback('valid_loss', min_delta=100, patience=1)])
    assert len(trace.valid)<3
    np.testing.assert_array_equal(weights(learn.model), trace.valid[-1])

def test_ema_that_stays():
    "As a callback of the learner: predictions outside of a fit change nothing, nor does a fit that was broken off"
    learn = learner(cbs=[EMA()])
    with pytest.raises(KeyboardInterrupt): call(learn, 'fit', 2, 1e-2, cbs=StopAt(6))
    before = weights(learn.model)
    call(learn, 'validate')
    assert (weights(learn.model)==before).all()
    call(learn, 'fit', 1, 1e-2)
    call(learn, 'lr_find', num_it=20, show_plot=False)
    before = weights(learn.model)
    call(learn, 'get_preds')
    assert (weights(learn.model)==before).all() and learn.ema.average is None

# Soup

class States(Callback):
    "State and value at the end of each epoch"
    order = 61
    def __init__(self): self.seen = []
    def after_epoch(self): self.seen.append((self.recorder.values[-1][1], {k:v.clone() for k,v in self.model.state_dict().items()}))

def loss_of(learn, state):
    learn.model.load_state_dict(state)
    return float(learn.get_preds(with_loss=True)[2].double().mean())

@pytest.mark.parametrize('k,lr', [(2,1e-2), (4,1e-2), (4,1e-3)])
def test_soup_by_hand(k, lr):
    states,soup = States(),Soup(k=k)
    learn,_ = fitted([soup, states], args=(4,lr))
    got,other = weights(learn.model),learner()
    order = sorted(range(4), key=lambda i: states.seen[i][0])[:k]
    used,best = order[:1],states.seen[order[0]][0]
    for i in order[1:]:
        value = loss_of(other, mean_state([states.seen[j][1] for j in used+[i]]))
        if value<=best: used,best = used+[i],value
    expected = {n: sum(states.seen[j][1][n].double() for j in used)/len(used) for n,_ in other.model.named_parameters()}
    np.testing.assert_allclose(got, torch.cat([o.flatten() for o in expected.values()]).numpy(), atol=1e-6)
    np.testing.assert_allclose(soup.table.valid_loss, [states.seen[i][0] for i in order])
    assert soup.table.used.tolist()==[i in used for i in order]

def test_soup_takes_more_than_one(monkeypatch):
    "and leaves out what harms: what a tiny network learns may ask for neither"
    loss = lambda state: abs(float(state['w'])-1)
    monkeypatch.setattr(Soup, '_value', lambda self, state: loss(state))
    soup,states = Soup(),[dict(w=torch.tensor(o)) for o in (0.1,2.,9.)]
    soup.kept = [dict(state=o, value=loss(o)) for o in states]
    assert [o['state'] for o in soup._greedy()]==states[:2]

def test_soup_within_epochs():
    "Twice in an epoch; training goes as without"
    soup = Soup(per_epoch=2, k=9)
    learn,_ = fitted([soup], args=(2,1e-2))
    plain,_ = fitted([], args=(2,1e-2))
    assert sorted(soup.table.pct)==[0.25,0.5,0.75,1.]
    assert torch.equal(torch.stack(list(learn.recorder.losses)), torch.stack(list(plain.recorder.losses))) and learn.recorder.values==plain.recorder.values
    assert call(learn, 'validate')[0]<=soup.table.valid_loss.iloc[0]+1e-6

def test_soup_by_a_metric():
    soup = Soup('accuracy', k=3)
    learn,_ = fitted([soup], args=(3,3e-2))
    best = max(o[2] for o in learn.recorder.values)
    assert soup.table.accuracy.is_monotonic_decreasing and soup.table.accuracy[0]==best and call(learn, 'validate')[1]>=best

def test_soup_that_stays():
    "As a callback of the learner: predictions change neither the weights nor the table"
    soup = Soup(k=2)
    learn = learner(cbs=[soup])
    call(learn, 'fit', 3, 1e-2)
    before,table = weights(learn.model),soup.table
    call(learn, 'validate')
    call(learn, 'get_preds')
    assert (weights(learn.model)==before).all() and soup.table.equals(table) and len(table)==2 and not soup.kept

def test_soup_validates_in_bf16():
    "Where validation is in bf16, so is the choice"
    soup,learn = Soup(k=3),learner().to_bf16(valid=True)
    call(learn, 'fit', 3, 1e-2, cbs=[soup])
    assert call(learn, 'validate')[0]<=soup.table.valid_loss[0]+1e-6 and learn.mixed_precision.autocast is None

def test_bad_soups():
    with pytest.raises(ValueError, match=r"`monitor` is 'f1': expected one of \['valid_loss', 'accuracy'"): fitted([Soup('f1')])
    for o in (dict(k=0), dict(per_epoch=1.5)):
        with pytest.raises(ValueError, match='expected a whole number from 1'): Soup(**o)

# Thawing

def test_thaw_by_share():
    learn,trace = fitted([GradualUnfreezing(until=0.5)], splitter=layerwise_splitter, args=(3,1e-2)) # 12 batches, 4 groups: one more after 2, 4 and 6
    assert [sum(o) for o in trace.trained]==[1,1,2,2,3,3,4,4,4,4,4,4] and all(o==sorted(o) for o in trace.trained)

@pytest.mark.parametrize('frozen,groups', [(0,[1,2,3]), (2,[1,2,2]), (9,[1,1,1])])
def test_thaw_by_epoch(frozen, groups):
    learn,trace = fitted([GradualUnfreezing(frozen=frozen)], splitter=layerwise_splitter)
    assert [sum(o) for o in trace.trained[::4]]==groups and learn.opt.frozen_idx==0

def test_thaw_trains_with_dropout_and_keeps_the_optimizer():
    "What thaws within an epoch is in training mode, is not answered from kept vectors, and the head goes on with its momentum"
    class See(Callback):
        order = 30
        def __init__(self): self.modes = []
        def after_pred(self):
            if self.training: self.modes.append([m.training for m in self.model.bert.encoder.layer])
    see,learn = See(),learner(splitter=layerwise_splitter)
    learn.freeze() # so that vectors are kept
    before = {k:v.clone() for k,v in learn.model.named_parameters()}
    call(learn, 'fit', 3, 1e-2, cbs=[GradualUnfreezing(until=0.5), see])
    assert see.modes==[[False,False]]*2+[[False,True]]*2+[[True,True]]*8
    assert all(not torch.equal(v, before[k]) for k,v in learn.model.named_parameters() if 'position' not in k and 'key.bias' not in k and 'token_type' not in k)
    steps = [int(learn.opt.opt.state[o[-1]]['step']) for o in learn.opt.param_lists]
    assert steps==[6,8,10,12] and learn.opt.frozen_idx==3

def test_bad_shares():
    for o in (0,1.5,-1):
        with pytest.raises(ValueError, match='expected a share of the fit'): GradualUnfreezing(o)
    for o in (0,1,2):
        with pytest.raises(ValueError, match='expected a number between 0 and 1'): EMA(o)

# Resume

callbacks = dict(ema=lambda: [EMA(0.5)], soup=lambda: [Soup(per_epoch=2)], thaw=lambda: [GradualUnfreezing(until=0.6)], epochs=lambda: [GradualUnfreezing()],
                 all=lambda: [EMA(0.5), Soup(per_epoch=2), GradualUnfreezing(until=0.6)])

@pytest.mark.parametrize('stop', [3, 7, 11])
@pytest.mark.parametrize('name', callbacks)
def test_resume(name, stop, tmp_path):
    "In the head's fit, and in both epochs after"
    assert_same(*resumed(lambda seed=1: learner(seed, splitter=layerwise_splitter), 'fine_tune', (2,1e-2), tmp_path, stop, callbacks[name]))

def test_resume_keeps_the_pot(tmp_path):
    "Checkpoints that were made before the stop are in the table too"
    soups = []
    def cbs():
        soups.append(Soup(per_epoch=2))
        return soups[-1:]
    resumed(learner, 'fine_tune', (2,1e-2), tmp_path, 11, cbs)
    assert soups[0].table.equals(soups[-1].table) and len(soups[0].table)==4

@pytest.mark.parametrize('name,kwargs', [('ema',dict(precision='bf16')), ('soup',dict(precision='bf16')), ('thaw',dict(precision='bf16')), ('all',dict(lora=2)), ('ema',dict(lora=2, precision='bf16', pooling='mean'))])
def test_resume_otherwise(name, kwargs, tmp_path):
    assert_same(*resumed(lambda seed=1: learner(seed, **kwargs), 'fine_tune', (2,1e-2), tmp_path, 10, callbacks[name], every=2))

def test_resume_linear(tmp_path): assert_same(*resumed(learner, 'fit_linear', (2,1e-2), tmp_path, 6))

# Adapters

@pytest.mark.parametrize('arch', archs)
def test_lora_of_all(arch):
    "Each architecture begins as it was, and is the same after merging"
    torch.manual_seed(0)
    model = load_transformer(tiny_checkpoint(arch), ['a','b'], pooling='mean' if arch=='pegasus' else 'own').eval()
    names,x = list(model.state_dict()),torch.randint(10, 50, (2,9))
    model.config.pad_token_id = 0
    if model.config.eos_token_id is not None: x = torch.where(x==model.config.eos_token_id, 9, x).index_fill(1, torch.tensor([8]), model.config.eos_token_id)
    before = model(x).logits
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        add_lora(model, r=2).eval()
    assert torch.allclose(model(x).logits, before, atol=1e-6)
    with torch.no_grad(): [p.normal_() for n,p in model.named_parameters() if 'lora_B' in n]
    after = model(x).logits
    assert not torch.allclose(after, before, atol=1e-3)
    merged = without_lora(model)
    assert torch.allclose(merged(x).logits, after, atol=1e-5) and list(merged.state_dict())==names and not has_lora(merged) and has_lora(model)
    assert all(p.requires_grad for p in merged.parameters()) and not hasattr(merged, 'peft_config')

def test_lora_by_hand():
    "W + alpha/r B A, in the layers that were asked for"
    torch.manual_seed(0)
    model = load_transformer(tiny_checkpoint(), ['a','b'])
    old = {k:v.clone() for k,v in model.state_dict().items()}
    add_lora(model, r=3, alpha=12, targets=['query'])
    ps = dict(model.named_parameters())
    with torch.no_grad(): [p.normal_() for n,p in ps.items() if 'lora_B' in n]
    a,b = [ps[f'bert.encoder.layer.1.attention.self.query.lora_{o}.default.weight'].detach().clone() for o in 'AB']
    new = merge_lora(model).state_dict()
    assert a.shape==(3,32) and torch.allclose(new['bert.encoder.layer.1.attention.self.query.weight'], old['bert.encoder.layer.1.attention.self.query.weight']+4*b@a, atol=1e-5)
    assert [k for k,v in new.items() if not torch.equal(v, old[k])]==[f'bert.encoder.layer.{i}.attention.self.query.weight' for i in (0,1)]

@pytest.mark.parametrize('pooling', ['own','mean'])
@pytest.mark.parametrize('splitter', [transformer_splitter, layerwise_splitter])
def test_lora_trains_adapters_and_head_only(pooling, splitter):
    learn = learner(lora=2, pooling=pooling, splitter=splitter)
    old = {k:v.clone() for k,v in learn.model.named_parameters()}
    head = {id(p) for k,p in learn.model.named_parameters() if 'classifier' in k or 'pooler' in k}
    call(learn, 'fine_tune', 1, 1e-2)
    changed = {k for k,v in learn.model.named_parameters() if not torch.equal(v, old[k])}
    trained = {k for k,p in learn.model.named_parameters() if 'lora_' in k or id(p) in head}
    assert changed=={k for k in trained if pooling=='own' or 'pooler' not in k} # which the mean has no use for
    learn.freeze()
    assert all(p.requires_grad==(id(p) in head) for p in learn.model.parameters())
    learn.unfreeze()
    assert {k for k,p in learn.model.named_parameters() if p.requires_grad}==trained and learn.groups().trained.sum()==sum(old[k].numel() for k in trained)

def test_lora_rank_and_other_arguments():
    learn = learner(lora=dict(r=4, alpha=2, targets=['value']))
    shapes = [tuple(p.shape) for n,p in learn.model.named_parameters() if 'lora_A' in n]
    assert shapes==[(4,32)]*2 and learn.given['lora']==dict(r=4, alpha=2, targets=['value'])

def test_lora_lr_find_and_save(tmp_path):
    learn = learner(lora=2)
    learn.path = tmp_path
    before = weights(learn.model)
    call(learn, 'lr_find', num_it=20, show_plot=False)
    assert (weights(learn.model)==before).all()
    call(learn, 'fit', 1, 1e-2)
    learn.save('here')
    other = learner(seed=5, lora=2)
    other.path = tmp_path
    other.load('here')
    assert (weights(other.model)==weights(learn.model)).all()

def test_lora_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ImportError, match=r"toxicai\[lora\]"): learner(lora=2)

def test_true_is_no_number():
    "`True` counts nothing, though Python takes it for 1"
    checks = dict(k=lambda o: Soup(k=o), per_epoch=lambda o: Soup(per_epoch=o), every=check_every, workers=lambda o: check_whole('workers', o),
                  steps=lambda o: check_stream([], [dict(text='a')], o, 10, 1))
    for k,f in checks.items():
        f(1)
        with pytest.raises(ValueError, match=f'`{k}` is True'): f(True)

def test_lora_in_one_layer():
    "A single name is a list of one"
    models = [add_lora(load_transformer(tiny_checkpoint(), ['a','b']), targets=o) for o in ('value',['value'])]
    one,several = [[n for n,p in o.named_parameters() if 'lora_' in n] for o in models]
    assert one==several and one and all('.value.' in o for o in one)

@pytest.mark.parametrize('value,message', [(0,'the rank `r` is 0'), (2.5,'the rank `r` is 2.5'), (True,'the rank `r` is True'), (dict(r=2, targets=[]),'no linear layers')])
def test_bad_lora(value, message):
    with pytest.raises(ValueError, match=message): learner(lora=value)

# What is exported

ends = dict(ema=([lambda: EMA(0.5)], {}), soup=([lambda: Soup(per_epoch=2)], {}), thaw=([lambda: GradualUnfreezing(0.5)], {}), lora=([lambda: EMA(0.5)], dict(lora=2)),
            lora_mean=([], dict(lora=2, pooling='mean')), bf16=([lambda: EMA(0.5), lambda: Soup()], dict(lora=2, precision='bf16')))

@pytest.mark.parametrize('name', ends)
@pytest.mark.parametrize('stays', [False, True])
def test_export(name, stays, tmp_path):
    "The pickle and the detector folder say what the learner says; the learner trains on afterwards"
    makers,kwargs = ends[name]
    cbs = [o() for o in makers]
    learn = learner(cbs=cbs if stays else None, **kwargs)
    learn.path = tmp_path
    call(learn, 'fine_tune', 1, 2e-2, cbs=None if stays else cbs)
    model,texts = learn.model,comments(6).text.tolist()
    ours = learn.classify(texts)[list(learn.dls.vocab)].to_numpy()
    learn.export()
    other = load_learner(tmp_path/'export.pkl')
    assert not any(type(m).__module__.startswith('peft') for m in other.model.modules()) and learn.model is model
    np.testing.assert_allclose(other.classify(texts)[list(learn.dls.vocab)].to_numpy(), ours, atol=1e-5)
    learn.save_detector(tmp_path/'detector')
    np.testing.assert_allclose(Detector(tmp_path/'detector', 'torch').scores(texts), ours, atol=1e-5)
    call(learn, 'fit', 1, 1e-3)

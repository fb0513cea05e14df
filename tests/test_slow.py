"The slow tier: many architectures, the real encoder, a killed export, arbitrary text"
import subprocess,sys,time,warnings

import numpy as np,pytest,torch
from fastai.learner import load_learner
from fastai.torch_core import set_seed
from hypothesis import HealthCheck,given,settings,strategies as st

from toxicai.all import *
from toxicai.test_utils import archs,comments,tiny_checkpoint

pytestmark = pytest.mark.slow
families = [o for o in archs if o!='pegasus']

def tiny_learner(arch='bert', splitter=transformer_splitter, path='.', **kwargs):
    dls = ToxicityDataLoaders.from_df(comments(48), tiny_checkpoint(arch), bs=8, path=path, device='cpu')
    return toxicity_learner(dls, splitter=splitter, **kwargs)

# Architectures

def check_groups(model, splitter):
    "Every parameter in one group, none empty, the head last and the word embedding first"
    groups = splitter(model)
    ids = [id(p) for g in groups for p in g]
    assert sorted(ids)==sorted(id(p) for p in model.parameters()) and all(groups)
    assert id(model.get_input_embeddings().weight) in map(id, groups[0])
    inside = {id(p) for p in model.base_model.parameters()}
    assert any(id(p) not in inside for p in groups[-1]) and all(id(p) in inside for g in groups[:-1] for p in g)
    return groups

@pytest.mark.parametrize('arch', families)
def test_architecture(arch, tmp_path):
    "Trained for a few steps, predicted, exported and reloaded, with both splitters"
    set_seed(0)
    learn = tiny_learner(arch, path=tmp_path)
    assert len(check_groups(learn.model, transformer_splitter))==3
    n = 1 if arch=='albert' else 4 if arch in ('t5','bart') else 2
    assert len(check_groups(learn.model, layerwise_splitter))==n+2
    before = {k:v.clone() for k,v in learn.model.state_dict().items()}
    with learn.no_bar(),learn.no_logging(): learn.fine_tune(1)
    assert any(not torch.equal(v, before[k]) for k,v in learn.model.state_dict().items() if v.is_floating_point())
    texts = ['you are an idiot', '', 'thank you '*20]
    probs = learn.classify(texts)[['kind','rude']].to_numpy()
    single = np.concatenate([learn.classify(o)[['kind','rude']].to_numpy() for o in texts])
    # Funnel pools pairs of positions and Longformer pads to its window: padding moves sums in fp32 a little more
    np.testing.assert_allclose(probs, single, atol=1e-4 if arch in ('funnel','longformer') else 1e-5)
    learn.export()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        again = load_learner(tmp_path/'export.pkl')
    np.testing.assert_allclose(again.classify(texts)[['kind','rude']].to_numpy(), probs, atol=1e-6)

@pytest.mark.parametrize('arch', ['bert','gpt2','xlnet','t5'])
def test_mean_pooling(arch):
    learn = tiny_learner(arch, pooling='mean')
    check_groups(learn.model, transformer_splitter)
    with learn.no_bar(),learn.no_logging(): learn.fit(1)
    assert np.isfinite(learn.classify(['thank you','you are an idiot']).rude).all()

def test_no_head():
    with pytest.raises(ValueError, match="no classification head for 'pegasus'.*pooling='mean'"): tiny_learner('pegasus')

def test_gradient_checkpointing():
    "The same gradients with and without"
    def _grad(on):
        set_seed(0)
        learn = tiny_learner(dropout=0., gradient_checkpointing=on, precision='fp32')
        x,y = learn.dls.valid.one_batch()
        learn.model.train()
        for m in learn.model.modules():
            if isinstance(m, torch.nn.Dropout): m.p = 0.
        fields = {f:x[:,i].as_subclass(torch.Tensor) for i,f in enumerate(text_tfm(learn.dls).encoder.fields)}
        learn.loss_func(learn.model(**fields).logits, y).backward()
        return learn.model.get_input_embeddings().weight.grad
    torch.testing.assert_close(_grad(True), _grad(False))

# The real encoder

def test_real_encoder_learns(tmp_path):
    "On the invented comments, in a few epochs; the figure is far above chance and says nothing about real comments"
    set_seed(1)
    dls = ToxicityDataLoaders.from_csv(sample_csv(), packaged_encoder(), text_col='comment', label_cols=['toxic','insult','profanity','threat'], path=tmp_path)
    learn = toxicity_learner(dls)
    with learn.no_bar(),learn.no_logging():
        learn.fine_tune(2)
        loss,auc,f1 = learn.validate()
    assert auc>0.85 and f1>0.5
    learn.export()
    code = ("import sys,warnings; warnings.simplefilter('ignore')\nfrom fastai.learner import load_learner\n"
            "print(load_learner(sys.argv[1]).classify('You are an idiot.').toxic[0])")
    out = subprocess.run([sys.executable, '-c', code, str(tmp_path/'export.pkl')], capture_output=True, text=True, check=True).stdout
    assert abs(float(out.split()[-1])-learn.classify('You are an idiot.').toxic[0])<1e-6

# Kills

_exporter = """
import sys
from toxicai.all import *
from toxicai.test_utils import *
learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(48), tiny_checkpoint(), bs=8, path=sys.argv[1], device='cpu'))
while True:
    learn.export()
    print('exported', flush=True)
"""

def test_killed_export(tmp_path):
    "Killed at any moment, the file is whole"
    rng = np.random.default_rng(0)
    for _ in range(3):
        p = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', _exporter, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert p.stdout.readline().startswith('new head') and p.stdout.readline().strip()=='exported'
        time.sleep(rng.uniform(0.05, 0.5))
        p.kill()
        p.wait()
        assert len(load_learner(tmp_path/'export.pkl').classify('thank you'))==1

# Arbitrary text

@pytest.fixture(scope='module')
def learn(): return tiny_learner()

@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.text(st.characters(), max_size=200), min_size=1, max_size=6))
def test_any_text(learn, texts):
    "Any string that Python can hold has finite probabilities that do not depend on its neighbours"
    res = learn.classify(texts)
    assert len(res)==len(texts) and np.isfinite(res.rude).all()
    assert abs(learn.classify(texts[-1]).rude[0]-res.rude.iloc[-1])<1e-5

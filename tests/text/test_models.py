"Heads of fine-tuned checkpoints: each probability under the name that transformers' own pipeline gives it"
import json,re,warnings

import numpy as np,pytest,torch
from transformers import pipeline
from toxicai.labels import *
from toxicai.text.models import *
from toxicai.text.tokenizer import load_tokenizer
from toxicai.test_utils import archs,tiny_checkpoint

single,multi = 'single_label_classification','multi_label_classification'
texts = ['what a rude thing to say, you fool', 'the bridge is closed on Sunday', 'get lost', 'x']

def checkpoint(path, names, problem, arch='bert'):
    "A fine-tuned checkpoint from elsewhere; its head is far from zero"
    torch.manual_seed(len(names))
    model = load_transformer(tiny_checkpoint(arch), names, problem)
    layer = output_layer(model)[1]
    torch.nn.init.normal_(layer.weight, std=0.5)
    if layer.bias is not None: torch.nn.init.normal_(layer.bias)
    model.save_pretrained(path)
    load_tokenizer(tiny_checkpoint(arch)).save_pretrained(path)
    return path

def by_pipeline(path):
    "Class -> probabilities of `texts`, as the pipeline gives them"
    pipe = pipeline('text-classification', str(path), device='cpu', top_k=None)
    return {k:[next(o['score'] for o in r if o['label']==k) for r in pipe(texts)] for k in pipe.model.config.id2label.values()}

def by_name(path, names, problem, **kwargs):
    "Class -> probabilities of `texts`, as a learner would give them"
    model,tok = load_transformer(path, names, problem, **kwargs).eval(),load_tokenizer(path)
    with torch.no_grad(): logits = torch.cat([model(**tok(o, return_tensors='pt')).logits for o in texts])
    probs = LabelSet(names, 'single' if problem==single else 'multi').probs(logits.numpy())
    return dict(zip(names, probs.T))

kept = { # outputs of the checkpoint, how they belong together; classes of ours, how they do; ours -> theirs, where names differ
    'same order': ('civil rude', single, 'civil rude', single, {}),
    'other order': ('rude civil', single, 'civil rude', single, {}),
    'three, turned': ('spam civil rude', single, 'civil rude spam', single, {}),
    'flags, other order': ('insult threat toxic', multi, 'toxic threat insult', multi, {}),
    'aliases': ('toxicity identity_attack profanity', multi, 'obscene toxic identity_hate', multi, dict(toxic='toxicity', identity_hate='identity_attack', obscene='profanity')),
    'aliases and letters': ('HATE NOT_HATE', single, 'clean hate', single, dict(clean='NOT_HATE', hate='HATE')),
    'fewer flags': ('toxic severe_toxic obscene threat insult identity_hate', multi, 'insult toxic', multi, {}),
    'one flag of many': ('toxic insult', multi, 'insult', multi, {}),
    'two classes for a flag': ('noHate hate', single, 'hate', multi, {}),
    'two classes for a flag, turned': ('hate noHate', single, 'hate', multi, {}),
    'two classes for two flags': ('rude civil', single, 'civil rude', multi, {}),
    'a flag for two classes': ('toxic', multi, 'ok toxic', single, {}),
    'a flag for two classes, turned': ('toxic', multi, 'toxicity harmless', single, dict(toxicity='toxic'))}

@pytest.mark.parametrize('case', kept)
def test_kept(case, tmp_path):
    own,own_problem,ours,problem,theirs = kept[case]
    own,ours = own.split(),ours.split()
    path = checkpoint(tmp_path, own, own_problem)
    want = by_pipeline(path)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        got = by_name(path, ours, problem)
        for o in ('keep',dict(enumerate(own)),own): np.testing.assert_array_equal(list(by_name(path, ours, problem, head=o).values()), list(got.values()))
    for k,p in got.items():
        name = theirs.get(k, k)
        expected = want[name] if name in want else 1-np.array(want[own[0]])
        np.testing.assert_allclose(p, expected, atol=1e-5, err_msg=k)
    means = [np.mean(o) for o in want.values()]
    assert len(means)<2 or np.diff(sorted(means)).min()>1e-3 # a head that says the same of all classes would agree with any other

families = [o for o in archs if o not in ('pegasus','funnel')]

@pytest.mark.parametrize('arch', families)
def test_families(arch, tmp_path):
    "The output layer of each family is found, and its rows are turned"
    path = checkpoint(tmp_path, ['a','b','c'], single, arch)
    with torch.no_grad():
        old,new = load_transformer(path, ['a','b','c']),load_transformer(path, ['c','a','b'])
        assert output_layer(new)[1].out_features==3
        for k,v in old.state_dict().items():
            w = new.state_dict()[k]
            assert torch.equal(w, v[[2,0,1]] if k.startswith(output_layer(old)[0]+'.') else v), k
    assert new.config.id2label=={0:'c', 1:'a', 2:'b'}

def test_unnamed(tmp_path):
    "Made-up names, bare numbers and names that are there twice say nothing"
    for i,names in enumerate((['LABEL_0','LABEL_1'], ['0','1'], ['label 1','label 2'])):
        path = checkpoint(tmp_path/str(i), names, single)
        for ours,problem in ((['civil','rude'],single), (['rude'],multi), (['rude','spam','civil'],single)):
            with pytest.raises(ValueError, match='nobody knows which is which.*`head='): load_transformer(path, ours, problem)
        got = by_name(path, ['civil','rude'], single, head=['rude','civil'])
        np.testing.assert_allclose(got['rude'], by_pipeline(path)[names[0]], atol=1e-5)
        assert not torch.equal(load_transformer(path, ['civil','rude'], head='new').classifier.weight, load_transformer(path, names).classifier.weight)
    np.testing.assert_array_equal(by_name(tmp_path/'1', ['1','0'], single)['0'], by_name(tmp_path/'1', ['0','1'], single)['0'])
    config = json.loads((path/'config.json').read_text())
    (path/'config.json').write_text(json.dumps({**config, 'id2label':{'0':'rude','1':'rude'}}))
    with pytest.raises(ValueError, match='nobody knows'): load_transformer(path, ['civil','rude'])

other = { # names of the checkpoint, how they belong together, ours, how; names that are new
    'none': ('sports politics', single, 'civil rude', single, 'civil rude'), 'one of two': ('rude other', single, 'civil rude', single, 'civil'),
    'more flags': ('toxic', multi, 'insult toxic', multi, 'insult'), 'flags for classes': ('civil rude spam', multi, 'civil rude spam', single, 'civil rude spam'),
    'three classes for flags': ('civil rude spam', single, 'rude spam', multi, 'rude spam'), 'a flag beside another harm': ('toxic', multi, 'insult toxic', single, 'insult toxic')}

@pytest.mark.parametrize('case', other)
def test_new(case, tmp_path, capsys):
    "What the checkpoint does not know is new, and said: in a line where all is; the rest is kept, or refused where the user counts on it"
    own,own_problem,ours,problem,new = (o.split() if ' ' in o or o.isalpha() else o for o in other[case])
    own,ours,new = [o if isinstance(o, list) else [o] for o in (own,ours,new)]
    own_problem,problem = [o if isinstance(o, str) else o[0] for o in (own_problem,problem)]
    path = checkpoint(tmp_path, own, own_problem)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        model = load_transformer(path, ours, problem)
    said = capsys.readouterr().out if new==ours else '\n'.join(str(o.message) for o in seen)
    assert 'new' in said and repr(new) in said and not (seen and new==ours)
    trained = load_transformer(path, own, own_problem)
    for i,o in enumerate(ours):
        if o not in new: assert torch.equal(model.classifier.weight[i], trained.classifier.weight[own.index(o)])
        else: assert model.classifier.weight[i].std()<0.1 and model.classifier.bias[i]==0
    with pytest.raises(ValueError, match='cannot be kept'): load_transformer(path, ours, problem, head='keep')
    assert torch.equal(model.base_model.embeddings.word_embeddings.weight, trained.base_model.embeddings.word_embeddings.weight)

def test_head_argument(tmp_path):
    path = checkpoint(tmp_path, ['rude','civil'], single)
    for o in (['rude'], {'polite':'civil'}, {7:'civil'}):
        with pytest.raises(ValueError, match='expected a name for each'): load_transformer(path, ['civil','rude'], head=o)
    with pytest.raises(ValueError, match="`head` is 'old'"): load_transformer(path, ['civil','rude'], head='old')
    with pytest.raises(ValueError, match='without a trained head'): load_transformer(tiny_checkpoint(), ['civil','rude'], head='keep')
    with pytest.raises(ValueError, match='makes a new head'): load_transformer(path, ['civil','rude'], pooling='mean', head='keep')
    assert load_transformer(path, ['civil','rude'], pooling='mean').classifier.out_features==2
    with pytest.raises(ValueError, match='rename some'): load_transformer(checkpoint(tmp_path/'b', ['toxic','toxicity'], multi), ['is_toxic'], multi)

def test_numbers(tmp_path, capsys):
    "One number stays one number; the head of a classifier is none"
    path = checkpoint(tmp_path/'a', ['LABEL_0'], 'regression')
    assert torch.equal(load_transformer(path, ['score'], 'regression').classifier.weight, load_transformer(path, ['LABEL_0'], 'regression').classifier.weight)
    load_transformer(checkpoint(tmp_path/'b', ['civil','rude'], single), ['score'], 'regression')
    assert re.search(r"new head for \['score'\]: it has to be trained; the trained head .* is left out: .*'civil', 'rude'", capsys.readouterr().out)

def test_what_is_new(tmp_path, capsys, recwarn):
    "A new head is a line, once; a body with holes is a warning, its pooler none; nothing comes on stderr"
    from transformers import AutoModel
    model = AutoModel.from_pretrained(tiny_checkpoint('bert'))
    weights = {k:v for k,v in model.state_dict().items() if 'pooler' not in k}
    model.save_pretrained(tmp_path/'whole', state_dict=weights)
    model.save_pretrained(tmp_path/'holes', state_dict={k:v for k,v in weights.items() if 'layer.0.output.dense' not in k})
    capsys.readouterr()
    for pooling in ('own','mean'):
        for _ in range(2): load_transformer(tmp_path/'whole', ['rude',f'threat {pooling}'], pooling=pooling)
        shown = capsys.readouterr()
        assert shown.out==f"new head for ['rude', 'threat {pooling}']: it has to be trained\n" and shown.err==''
        assert not [o for o in recwarn.list if 'lacks' in str(o.message)]
    for pooling in ('own','mean'):
        with pytest.warns(UserWarning, match='lacks 2 weights of the network, such as .*dense'):
            load_transformer(tmp_path/'holes', ['rude','threat'], pooling=pooling)

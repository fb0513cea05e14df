"Students: layers taken out exactly, vocabularies cut without a changed piece, soft targets by hand, kills"
import sys,warnings
from pathlib import Path

import numpy as np,pandas as pd,pytest,torch
from tokenizers import Tokenizer,models,normalizers,pre_tokenizers,processors,trainers
from transformers import AutoTokenizer,PreTrainedTokenizerFast

sys.path.append(str(Path(__file__).parents[1]/'runs')) # for its helpers, also where it is not collected
from test_checkpoints import StopAt
from toxicai.all import *
from toxicai.runs.checkpoints import same_weights
from toxicai.text.models import load_transformer,MeanPoolClassifier
from toxicai.train.distil import *
from toxicai.test_utils import *

nan = float('nan')
names = ['kind','rude']

def inputs(n=4): return torch.randint(5, 60, (n,9), generator=torch.Generator().manual_seed(1))

def deep(arch, **kwargs):
    "A network of four layers with random weights, in eval mode"
    import tempfile
    from transformers import AutoModel
    from toxicai.test_utils import archs,tiny_config
    config = tiny_config(arch)
    config.num_hidden_layers = 4
    if config.pad_token_id is None: config.pad_token_id = 0
    if hasattr(config, 'attention_window'): config.attention_window = [8]*4
    if getattr(config, 'layer_types', None): config.layer_types = (config.layer_types*4)[:4]
    path = Path(tempfile.mkdtemp(prefix='toxicai-'))
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(path)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return load_transformer(path, names, **kwargs).eval()

layered = ['bert','electra','distilbert','roberta','xlm-roberta','camembert','mpnet','deberta-v2','gpt2','llama','mistral','modernbert','longformer']

@pytest.mark.parametrize('arch', layered)
def test_layers(arch):
    "All layers are the same network; fewer are what the whole gives when the others pass their input on"
    model,x = deep(arch),inputs()
    with torch.no_grad():
        np.testing.assert_allclose(student_of(model, range(4))(x).logits, model(x).logits, atol=1e-5)
        few = student_of(model, [0,-1])
        assert few(x).logits.shape==(4,2) and few.config.num_hidden_layers==2 and few.taken==(0,3)
        if arch=='bert':
            for o in (1,2): model.bert.encoder.layer[o].forward = lambda h,*args,**kwargs: h
            np.testing.assert_allclose(few(x).logits, model(x).logits, atol=1e-5)

def test_mean_pooling():
    model,x = deep('bert', pooling='mean'),inputs()
    few = student_of(model, [1,2])
    assert isinstance(few, MeanPoolClassifier) and few.config.num_hidden_layers==2
    with torch.no_grad(): np.testing.assert_allclose(student_of(model, range(4))(x).logits, model(x).logits, atol=1e-5)

@pytest.mark.parametrize('layers', [[], [2,1], [1,1], [4], [-5], [True], ['0'], [0.]])
def test_bad_layers(layers):
    with pytest.raises(ValueError, match='from 0 to 3'): checked_layers(layers, 4)

@pytest.mark.parametrize('arch', ['t5','bart','albert','funnel','xlnet'])
def test_not_taken_apart(arch):
    model = load_transformer(tiny_checkpoint(arch), names)
    try: student = student_of(model, [0])
    except ValueError as e: assert 'taken apart' in str(e)
    else: # where it can be done, it is done right
        with torch.no_grad(): np.testing.assert_allclose(student_of(model.eval(), range(2))(inputs()).logits, model(inputs()).logits, atol=1e-5)

# Vocabularies

lines = ['you are an idiot and a fool','thank you for the quick answer','the harbour in the photo is great',"it's 12 o'clock?!",
         'привет, как дела','ты дурак и всё тут','¿qué hora es, señor?','eres un idiota, lo siento','les élèves ont été sages','ta gueule, sale type']

def unigram(byte_fallback=False):
    tok = Tokenizer(models.Unigram())
    tok.normalizer,tok.pre_tokenizer = normalizers.NFKC(),pre_tokenizers.Metaspace()
    specials = ['<s>','<pad>','</s>','<unk>','<mask>']
    tok.train_from_iterator(lines*3, trainers.UnigramTrainer(vocab_size=160, special_tokens=specials, unk_token='<unk>', show_progress=False))
    tok.post_processor = processors.TemplateProcessing(single='<s> $A </s>', pair='<s> $A </s> </s> $B </s>', special_tokens=[('<s>',0),('</s>',2)])
    return PreTrainedTokenizerFast(tokenizer_object=tok, bos_token='<s>', cls_token='<s>', eos_token='</s>', sep_token='</s>', pad_token='<pad>', unk_token='<unk>', mask_token='<mask>')

def wordpiece(frame='template'):
    tok = Tokenizer(models.WordPiece(unk_token='[UNK]'))
    tok.normalizer,tok.pre_tokenizer = normalizers.BertNormalizer(strip_accents=False),pre_tokenizers.BertPreTokenizer()
    specials = ['[PAD]','[unused1]','[UNK]','[CLS]','[SEP]','[MASK]']
    tok.train_from_iterator(lines*3, trainers.WordPieceTrainer(vocab_size=260, special_tokens=specials, show_progress=False))
    tok.post_processor = processors.BertProcessing(('[SEP]',4), ('[CLS]',3)) if frame=='bert' else processors.TemplateProcessing(
        single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B:1 [SEP]:1', special_tokens=[('[CLS]',3),('[SEP]',4)])
    return PreTrainedTokenizerFast(tokenizer_object=tok, cls_token='[CLS]', sep_token='[SEP]', pad_token='[PAD]', unk_token='[UNK]', mask_token='[MASK]')

def network_for(tok, arch):
    from transformers import AutoModelForSequenceClassification
    from toxicai.test_utils import tiny_config
    config = tiny_config(arch)
    config.vocab_size,config.num_labels = len(tok),2
    for o in ('pad','bos','eos','cls','sep'): setattr(config, f'{o}_token_id', getattr(tok, f'{o}_token_id'))
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()

kinds = {'wordpiece':(wordpiece,'bert'), 'wordpiece, frame of BERT':(lambda: wordpiece('bert'),'bert'), 'unigram':(unigram,'xlm-roberta')}

@pytest.mark.parametrize('name', kinds)
@pytest.mark.parametrize('some', [lines[:4], lines[4:6], lines[6:8], lines])
def test_cut(name, some, tmp_path):
    "Same pieces and same logits for the texts, also from a folder; fewer rows; nothing of the old is changed"
    make,arch = kinds[name]
    tok,before = make(),len(make())
    model = network_for(tok, arch)
    state = {k:v.clone() for k,v in model.state_dict().items()}
    small,net = cut_vocabulary(tok, model, some)
    assert len(small)==net.config.vocab_size==net.get_input_embeddings().num_embeddings<=before==len(tok)
    if some is not lines: assert len(small)<before
    assert all(torch.equal(v, state[k]) for k,v in model.state_dict().items()) and len(tok)==before
    for text in some: assert small.tokenize(text)==tok.tokenize(text)
    a,b = [m(**{k:v for k,v in t(some, padding=True, return_tensors='pt').items() if k!='token_type_ids'}).logits.detach() for t,m in ((tok,model),(small,net.eval()))]
    np.testing.assert_allclose(a, b, atol=1e-5)
    small.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(some).input_ids==small(some).input_ids and again.pad_token_id==small.pad_token_id
    assert set(net.config.to_dict().get(k) for k in ('pad_token_id',))=={small.pad_token_id}

@pytest.mark.parametrize('name', kinds)
def test_unknown_words_are_spelt(name):
    "Words of known letters have pieces; only unknown letters are unknown"
    make,arch = kinds[name]
    tok = make()
    small,_ = cut_vocabulary(tok, network_for(tok, arch), lines[:4])
    assert small.unk_token_id not in small('foot nation').input_ids
    assert small.unk_token_id in small('дурак').input_ids

def test_by_numbers():
    tok = wordpiece()
    model = network_for(tok, 'bert')
    ids = sorted({i for o in lines[:2] for i in tok(o).input_ids})
    a,b = cut_vocabulary(tok, model, ids),cut_vocabulary(tok, model, lines[:2])
    assert a[0].get_vocab()==b[0].get_vocab()

def test_not_together():
    with pytest.raises(ValueError, match='do not belong together'): cut_vocabulary(wordpiece(), network_for(tiny_tokenizer(), 'bert'), lines)

def test_position_of_padding():
    "XLM-R numbers positions by its pad token, which keeps its number"
    tok = unigram()
    small,net = cut_vocabulary(tok, network_for(tok, 'xlm-roberta'), lines[:2])
    assert small.pad_token_id==1==net.get_input_embeddings().padding_idx

# Targets

def test_soft_loss_by_hand():
    a,b = np.array([[1.,-2],[.5,3]]),np.array([[2.,nan],[-1,1]])
    t,sig = 3.,lambda x: 1/(1+np.exp(-x))
    p,q = sig(b/t),sig(a/t)
    kl = p*np.log(p/q)+(1-p)*np.log((1-p)/(1-q))
    assert abs(float(soft_loss(torch.tensor(a), torch.tensor(b).float(), t))-9*np.nanmean(kl))<1e-5

def test_soft_loss_of_exclusive_classes():
    a,b = np.array([[1.,-2,0],[.5,3,1]]),np.array([[2.,1,0],[-1,1,nan]])
    soft = lambda x: np.exp(x/2)/np.exp(x/2).sum()
    p,q = soft(b[0]),soft(a[0])
    assert abs(float(soft_loss(torch.tensor(a), torch.tensor(b).float(), 2., alone=True))-4*(p*np.log(p/q)).sum())<1e-5

def test_nothing_known():
    x = torch.zeros(2, 2, requires_grad=True)
    loss = soft_loss(x, torch.full((2,2), nan))
    loss.backward()
    assert loss==0 and (x.grad==0).all()

@pytest.mark.parametrize('ours,theirs,want', [(['insult','toxic'], ['toxic','insult'], [[2,1]]), (['toxic','spam'], ['toxic','insult'], [[1,nan]])])
def test_by_name(ours, theirs, want):
    np.testing.assert_array_equal(logits_by_name([[1,2]], LabelSet(theirs), LabelSet(ours)), want)

def test_exclusive_classes_are_all_there():
    with pytest.raises(ValueError, match='expected the same'):
        logits_by_name([[1,2,3]], LabelSet(['a','b','c'], kind='single'), LabelSet(['a','b'], kind='single'))

# Learners

def loaders(n=64, **kwargs):
    kwargs = {'label_cols':['toxic','insult'], 'bs':8, **kwargs}
    df = comments(n).assign(is_valid=[i%4==0 for i in range(n)])
    return ToxicityDataLoaders.from_df(kwargs.pop('df', df), tiny_checkpoint(), valid_col='is_valid', **kwargs)

@pytest.fixture(scope='module')
def teacher():
    learn = toxicity_learner(loaders(), seed=1)
    with learn.no_bar(),learn.no_logging(): learn.fit(4, 1e-2)
    return learn

def preds(learn, dls):
    with learn.no_bar(): return learn.get_preds(dl=dls.valid)[0].numpy()

def fitted(learn, *args, verb='fit', **kwargs):
    with learn.no_bar(),learn.no_logging(): getattr(learn, verb)(*args, **kwargs)
    return learn

def test_targets_belong_to_their_rows(teacher):
    "In buckets, shuffled: each row of a batch gets what the teacher says of it"
    from fastai.callback.core import Callback
    seen = []
    class Look(Callback):
        order = -30
        def after_loss(self):
            if not self.training: return
            theirs = torch.tensor(self.learn.soft_targets.logits[self.learn.soft_targets.rows()])
            net = teacher.model.eval()
            enc = dict(zip(self.dls.train_ds.tls[0].tfms.fs[-1].encoder.fields, self.xb[0].as_subclass(torch.Tensor).unbind(1)))
            with torch.no_grad(): seen.append((theirs, net(**enc).logits))
    fitted(teacher.distil([0], cbs=Look(), precision='fp32'), 2, 1e-3)
    assert len(seen)==12
    for a,b in seen: np.testing.assert_allclose(a, b, atol=1e-3)

def test_learns_without_labels(teacher):
    "Rows whose labels are all NaN, and nothing of the labels in the loss: the student comes nearer to its teacher"
    df = comments(64).assign(is_valid=[i%4==0 for i in range(64)])
    df.loc[~df.is_valid, ['toxic','insult']] = nan
    df.loc[1,'toxic'] = 1; df.loc[2,'toxic'] = 0; df.loc[1,'insult'] = 1; df.loc[2,'insult'] = 0
    dls = loaders(df=df)
    learn,want = teacher.distil([1], dls, share=1.),preds(teacher, dls)
    torch.nn.init.normal_(learn.model.classifier.weight)
    before = np.abs(preds(learn, dls)-want).mean()
    fitted(learn, 15, 3e-3)
    assert np.abs(preds(learn, dls)-want).mean()<before/2

def test_detector_as_teacher(teacher, tmp_path):
    "A folder says the same as the learner that wrote it"
    d = Detector(teacher.save_detector(tmp_path/'d'), 'torch')
    a = distil(d, teacher.dls, student_of(teacher.model, [0])).soft_targets.logits
    np.testing.assert_allclose(a, teacher.distil([0]).soft_targets.logits, atol=1e-4)

def test_share_of_zero_is_plain_training(teacher):
    a,b = teacher.distil([0], share=0.),toxicity_learner(teacher.dls, seed=1)
    b.model = student_of(teacher.model, [0])
    for o in (a,b):
        seed_everything(3, o.dls)
        fitted(o, 1, 1e-3)
    for p,q in zip(a.model.parameters(), b.model.parameters()): np.testing.assert_allclose(p.detach(), q.detach(), atol=1e-6)

def test_hidden(teacher):
    "Hidden states come nearer to those of the teacher's layers; hooks are gone afterwards"
    learn = teacher.distil([0,1], hidden=5.)
    for p in learn.model.base_model.encoder.layer[1].parameters(): torch.nn.init.normal_(p, std=.1)
    def apart():
        ours,theirs,x = {},{},inputs()
        for net,into in ((learn.model,ours),(teacher.model,theirs)):
            handles = block_outputs(net.eval(), [1], into)
            with torch.no_grad(): net(x)
            for o in handles: o.remove()
        return float(hidden_loss(ours[1], theirs[1], torch.ones(4,9)))
    before = apart()
    fitted(learn, 4, 3e-3)
    assert apart()<before
    assert not any(m._forward_hooks for m in learn.model.modules()) and not any(m._forward_hooks for m in teacher.model.modules())

@pytest.mark.parametrize('verb,args', [('fit',(3,1e-3)), ('fine_tune',(2,1e-3))])
@pytest.mark.parametrize('hidden', [0.,1.])
def test_resume(teacher, tmp_path, verb, args, hidden):
    "Stopped in the middle and gone on with: the same weights"
    def student():
        learn = teacher.distil([1], hidden=hidden, precision='fp32')
        seed_everything(5, learn.dls)
        return learn
    whole = fitted(student(), *args, verb=verb)
    stopped = student()
    with pytest.raises(KeyboardInterrupt): fitted(stopped, *args, verb=verb, cbs=[Checkpoint(tmp_path/'run', every=2), StopAt(5)])
    again = student()
    with again.no_bar(),again.no_logging(): again.resume(tmp_path/'run', cbs=StopAt(10**6))
    assert same_weights(whole.model, again.model)

def test_travels(teacher, tmp_path):
    "An exported student, and its folder, need no teacher"
    learn = fitted(teacher.distil([0], hidden=1.), 1, 1e-3)
    d = Detector(learn.save_detector(tmp_path/'d'), 'torch')
    np.testing.assert_allclose(d.scores(learn.dls.valid_ds.items.text.tolist()), preds_in_order(learn), atol=1e-5)
    learn.path = tmp_path
    learn.export()
    assert (tmp_path/'export.pkl').stat().st_size<2*sum(p.numel()*4 for p in learn.model.parameters())+2e5

def preds_in_order(learn):
    with learn.no_bar(): return learn.get_preds()[0].numpy()

@pytest.mark.parametrize('kwargs,match', [(dict(temperature=.9), 'temperature'), (dict(share=-.1), 'share'), (dict(hidden=-1), 'hidden'), (dict(bs=8), 'bs')])
def test_bad_numbers(teacher, kwargs, match):
    with pytest.raises((ValueError,TypeError), match=match): teacher.distil([0], **kwargs)

def test_other_tokens(teacher):
    "A student that reads other tokens learns from logits, but not from hidden states"
    tok,net = cut_vocabulary(tiny_tokenizer(), student_of(teacher.model, [0]), comments().text)
    net.taken = (0,)
    dls = ToxicityDataLoaders.from_df(comments(32), tok, label_cols=['toxic','insult'], bs=8, max_length=64)
    fitted(distil(teacher, dls, net), 1, 1e-3)
    with pytest.raises(ValueError, match='encoded for'): distil(teacher, dls, net, hidden=1)

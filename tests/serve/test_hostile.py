"Folders that somebody broke or booby-trapped: each ends in an error that says what is wrong; none runs code, hangs or fills the memory"
import json,os,pickle,random,resource,shutil,struct,time
from pathlib import Path

import numpy as np,pytest
from toxicai.all import *
from toxicai.files import file_digest
from toxicai.serve.folder import read_json,relist_files,write_meta
from toxicai.test_utils import *

torch_only = dict(backend='torch')
TRACE = 'code-has-run'

class Bomb:
    def __reduce__(self): return os.system,(f'touch {TRACE}',)

@pytest.fixture(scope='module')
def good(tmp_path_factory):
    "Two sound folders: transformers' own head, and mean pooling"
    res = {}
    for pooling in ('own','mean'):
        dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8)
        res[pooling] = toxicity_learner(dls, pooling=pooling).save_detector(tmp_path_factory.mktemp('good')/pooling)
    return res

@pytest.fixture
def folder(good, tmp_path, monkeypatch):
    "Without a list of files, as a stranger may leave it"
    monkeypatch.chdir(tmp_path)
    res = Path(shutil.copytree(good['own'], tmp_path/'folder'))
    edit(res/'toxicai.json', lambda d: d.update(files={}))
    return res

def edit(path, f):
    d = json.loads(path.read_text())
    f(d)
    path.write_text(json.dumps(d))

def change(name, *keys, to):
    "An attack that sets one value of a JSON file"
    def _change(folder):
        def _set(d):
            for k in keys[:-1]: d = d[k]
            d[keys[-1]] = to
        edit(folder/name, _set)
    return _change

def write(name, content): return lambda folder: (folder/name).write_bytes(content if isinstance(content, bytes) else content.encode())

def header(d, rest=b''):
    h = json.dumps(d).encode()
    return struct.pack('<Q', len(h))+h+rest

def truncated(folder): os.truncate(folder/'model.safetensors', (folder/'model.safetensors').stat().st_size//2)
def longer(folder): (folder/'model.safetensors').open('ab').write(b'x'*64)
def pickled(folder): (folder/'model.safetensors').write_bytes(pickle.dumps(Bomb()))
def only_pickle(folder):
    (folder/'model.safetensors').unlink()
    (folder/'pytorch_model.bin').write_bytes(pickle.dumps(Bomb()))

def weights(folder, f):
    from safetensors.numpy import load_file,save_file
    d = load_file(folder/'model.safetensors')
    f(d)
    save_file(d, folder/'model.safetensors')

def wrong_shape(folder): weights(folder, lambda d: d.update({'classifier.weight':np.zeros((2,7), np.float32)}))
def missing_tensor(folder): weights(folder, lambda d: d.pop('bert.encoder.layer.1.output.dense.weight'))
def not_a_number(folder): weights(folder, lambda d: d['bert.encoder.layer.0.output.dense.weight'].fill(np.nan))
def infinite(folder): weights(folder, lambda d: d['bert.embeddings.word_embeddings.weight'].__setitem__((9, 0), np.inf))

def half(folder): weights(folder, lambda d: d.update({k:v.astype(np.float16) for k,v in d.items()}))
def another(folder): weights(folder, lambda d: d.update(more=np.zeros(3, np.float32)))

def link_out(name):
    def _link(folder):
        (folder/name).replace(folder.parent/'outside')
        (folder/name).symlink_to('../outside')
    return _link

def link_round(folder):
    (folder/'toxicai.json').unlink()
    (folder/'toxicai.json').symlink_to('toxicai.json')

def a_folder(name):
    def _make(folder):
        (folder/name).unlink()
        (folder/name).mkdir()
    return _make

def a_pipe(name):
    def _make(folder):
        (folder/name).unlink()
        os.mkfifo(folder/name)
    return _make

def sparse(name, size):
    def _make(folder):
        with open(folder/name, 'wb') as f: f.truncate(size)
    return _make

def without(name): return lambda folder: (folder/name).unlink()

def tokens(n):
    "A tokenizer with `n` tokens more than the network has rows"
    def _add(folder): edit(folder/'tokenizer.json', lambda d: d['model']['vocab'].update({f'more{i}':1000+i for i in range(n)}))
    return _add

two_texts = {'0':'toxic','1':'toxic'}
hostile = {
    'no toxicai.json': (without('toxicai.json'), "no readable 'toxicai.json'"),
    'no config.json': (without('config.json'), "no readable 'config.json'"),
    'no tokenizer': (without('tokenizer.json'), "no readable 'tokenizer.json'"),
    'no weights': (without('model.safetensors'), 'does not have'),
    'only a pickle': (only_pickle, 'does not have'),
    'a pickle named safetensors': (pickled, 'not a safetensors file'),
    'weights cut in half': (truncated, 'not a safetensors file'),
    'weights with more behind': (longer, 'not a safetensors file'),
    'empty weights': (write('model.safetensors', b''), 'not a safetensors file'),
    'header of 10 GB': (write('model.safetensors', struct.pack('<Q', 10*2**30)+b'{'), 'not a safetensors file'),
    'header of 10 GB in a file of 10 GB': (lambda o: (sparse('model.safetensors', 10*2**30)(o), (o/'model.safetensors').open('r+b').write(struct.pack('<Q', 10*2**30-8))), 'not a safetensors file'),
    'header is no JSON': (write('model.safetensors', struct.pack('<Q', 8)+b'notjson!'), 'not a safetensors file'),
    'tensor of a petabyte': (write('model.safetensors', header({'classifier.weight':dict(dtype='F32', shape=[2**24,2**24], data_offsets=[0,2**50])}, b'0'*64)), 'not a safetensors file'),
    'shape that overflows': (write('model.safetensors', header({'classifier.weight':dict(dtype='F32', shape=[2**40,2**40], data_offsets=[0,64])}, b'0'*64)), 'not a safetensors file'),
    'negative offsets': (write('model.safetensors', header({'classifier.weight':dict(dtype='F32', shape=[4], data_offsets=[-16,0])}, b'0'*16)), 'not a safetensors file'),
    'tensors that overlap': (write('model.safetensors', header({k:dict(dtype='F32', shape=[4], data_offsets=[0,16]) for k in 'ab'}, b'0'*16)), 'not a safetensors file'),
    'wrong shape': (wrong_shape, "'classifier.weight' in 'model.safetensors' has the shape"),
    'missing tensor': (missing_tensor, 'lacks 1 tensors'),
    'NaN weights': (not_a_number, 'not finite'),
    'infinite weights in a rare token': (infinite, 'not finite'),
    'weights are a link out': (link_out('model.safetensors'), 'leads out of the folder'),
    'toxicai.json is a link out': (link_out('toxicai.json'), 'leads out of the folder'),
    'tokenizer is a link out': (link_out('tokenizer.json'), 'leads out of the folder'),
    'link to itself': (link_round, "no readable 'toxicai.json'"),
    'weights are a folder': (a_folder('model.safetensors'), 'not a plain file'),
    'a pipe that never ends': (a_pipe('config.json'), 'not a plain file'),
    'toxicai.json of 10 GB': (sparse('toxicai.json', 10*2**30), 'at most'),
    'tokenizer of 10 GB': (sparse('tokenizer.json', 10*2**30), 'at most'),
    'JSON bomb, deep': (write('toxicai.json', '['*10**6), 'RecursionError'),
    'JSON bomb, deep config': (write('config.json', '{"a":'*10**5+'1'+'}'*10**5), 'RecursionError'),
    'JSON bomb, wide': (write('toxicai.json', json.dumps(dict(schema=1, **{f'k{i}':[] for i in range(10**5)}))), 'unknown'),
    'number of a million digits': (write('toxicai.json', '{"schema":'+'9'*10**6+'}'), 'is not JSON'),
    'not UTF-8': (write('toxicai.json', b'\xff\xfe{}'), 'UnicodeDecodeError'),
    'NaN in JSON': (write('toxicai.json', '{"schema":NaN}'), 'not a number of JSON'),
    'a key twice': (write('toxicai.json', '{"schema":1,"schema":1}'), 'twice'),
    'a list': (write('toxicai.json', '[]'), 'holds a list'),
    'newer schema': (change('toxicai.json', 'schema', to=3), 'upgrade'),
    'schema is text': (change('toxicai.json', 'schema', to='1'), 'version of the format'),
    'schema is true': (change('toxicai.json', 'schema', to=True), 'version of the format'),
    'schema that never was': (change('toxicai.json', 'schema', to=0), 'never released'),
    'unknown key': (change('toxicai.json', 'run', to='rm -rf /'), 'unknown'),
    'path instead of a head': (change('toxicai.json', 'head', to='../../etc/passwd'), '`head`'),
    'head of the other sort': (change('toxicai.json', 'head', to='mean'), 'do not belong together'),
    'path instead of a rule': (change('toxicai.json', 'text', 'rules', to=['../../etc/passwd']), 'no rule is called'),
    'rule with a huge number': (change('toxicai.json', 'text', 'rules', to=['repeats:'+'9'*150]), '`text.rules`'),
    'a million rules': (change('toxicai.json', 'text', 'rules', to=['nfc']*10**5), '`text.rules`'),
    'length beyond the positions': (change('toxicai.json', 'text', 'max_length', to=100000), 'do not belong together'),
    'length without end': (change('toxicai.json', 'text', 'max_length', to=2**40), '`text.max_length`'),
    'length without room': (change('toxicai.json', 'text', 'max_length', to=2), 'tokens that frame'),
    'pad token beyond the rows': (change('toxicai.json', 'text', 'pads', to=[10**6,0,0]), 'do not belong together'),
    'negative token': (change('toxicai.json', 'text', 'empty_id', to=-1), '`text.empty_id`'),
    'unknown input': (change('toxicai.json', 'text', 'fields', to=['input_ids','inputs_embeds','labels']), '`text.fields`'),
    'one label more': (change('config.json', 'id2label', to={'0':'toxic','1':'insult','2':'threat'}), 'expected the same in the same order'),
    'labels in another order': (change('config.json', 'id2label', to={'0':'insult','1':'toxic'}), 'expected the same in the same order'),
    'label twice': (change('toxicai.json', 'labels', 'classes', 1, 'name', to='toxic'), 'more than once'),
    'threshold of 7': (change('toxicai.json', 'labels', 'classes', 1, 'threshold', to=7), 'in [0,1]'),
    'markup as a colour': (change('toxicai.json', 'labels', 'classes', 1, 'colour', to='"><script>'), 'colour'),
    'calibration for other classes': (change('toxicai.json', 'labels', 'calibration', to=dict(method='platt', activation='sigmoid', classes=[{}])), 'calibration'),
    'remote code': (change('config.json', 'auto_map', to={'AutoModelForSequenceClassification':'evil.Model'}), 'never brings code'),
    'remote code further down': (change('config.json', 'text_config', to=[{'auto_map':{'AutoConfig':'evil.Config'}}]), 'never brings code'),
    'a billion layers': (change('config.json', 'num_hidden_layers', to=10**9), 'no network is that large'),
    'a width of a trillion': (change('config.json', 'hidden_size', to=10**12), 'no network is that large'),
    'kernels of the Hub': (change('config.json', 'attn_implementation', to='kernels-community/flash-attn2'), "has the key 'attn_implementation'"),
    'quantiser': (change('config.json', 'quantization_config', to={'quant_method':'awq'}), "has the key 'quantization_config'"),
    'other weights': (change('config.json', 'transformers_weights', to='adapter_model.bin'), "has the key 'transformers_weights'"),
    'a size that is text': (change('config.json', 'hidden_size', to='32'), '`hidden_size`'),
    'an activation of the Hub': (change('config.json', 'hidden_act', to='owner/kernel'), '`hidden_act`'),
    'labels numbered otherwise': (change('config.json', 'label2id', to={'toxic':1,'insult':0}), 'expected the same in the same order'),
    'weights in another type than said': (change('config.json', 'dtype', to='float16'), "has the type F32, 'config.json' says float16"),
    'half of the precision': (half, "has the type F16, 'config.json' says float32"),
    'a tensor more': (another, 'tensors that the network does not have'),
    'random tokenizer': (change('tokenizer.json', 'normalizer', to=dict(type='Replace', pattern={'Regex':'(a+)+$'}, content='')), "'tokenizer.json' cannot be read"),
    'template with unknown tokens': (change('tokenizer.json', 'post_processor', 'special_tokens', to={}), "'tokenizer.json' cannot be used"),
    'template with tokens beyond the rows': (change('tokenizer.json', 'post_processor', 'special_tokens', '[CLS]', 'ids', to=[9999]), 'do not belong together'),
    'template with unknown types': (change('tokenizer.json', 'post_processor', 'single', 1, 'Sequence', 'type_id', to=9), 'do not belong together'),
    'more layers than there are': (change('config.json', 'num_hidden_layers', to=900), 'lacks'),
    'wider than the weights': (change('config.json', 'intermediate_size', to=2**23), 'has the shape'),
    'unknown architecture': (change('config.json', 'model_type', to='os.system'), 'does not describe a network'),
    'no heads': (change('config.json', 'num_attention_heads', to=0), 'does not describe a network'),
    'unknown activation': (change('config.json', 'hidden_act', to='__import__'), 'does not describe a network'),
    'metrics that are code': (change('toxicai.json', 'metrics', to=[1]), '`metrics`'),
    'tokenizer is no JSON': (write('tokenizer.json', b'\x80\x04'), "'tokenizer.json' cannot be read"),
    'tokenizer of an unknown sort': (change('tokenizer.json', 'model', 'type', to='Evil'), "'tokenizer.json' cannot be read"),
    'tokenizer, deep': (write('tokenizer.json', '{"a":'*10**5), "'tokenizer.json' cannot be read"),
    'tokenizer with more tokens': (tokens(50), 'do not belong together')}

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024

def test_good(folder): assert len(Detector(folder, **torch_only)('you are an idiot'))==1

@pytest.mark.parametrize('name', hostile)
def test_hostile(name, folder):
    attack,err = hostile[name]
    attack(folder)
    before,start = peak(),time.perf_counter()
    with pytest.raises((FolderError,ImportError,FileNotFoundError,ValueError)) as e: Detector(folder, **torch_only)
    assert err in str(e.value), str(e.value)
    assert len(str(e.value))<600 and str(e.value).isprintable()
    assert peak()-before<2**29 and time.perf_counter()-start<30
    assert not (folder.parent/TRACE).exists() and not Path(TRACE).exists()

def test_enough(): assert len(hostile)>=20

def test_mean_pooling_is_not_for_transformers(good):
    "Whichever door is tried, transformers must not make up a head"
    from transformers import AutoConfig,AutoModel,AutoModelForSequenceClassification,BertForSequenceClassification,pipeline
    assert len(Detector(good['mean'], **torch_only)(['a','b']))==2
    for f in (AutoConfig.from_pretrained, AutoModel.from_pretrained, AutoModelForSequenceClassification.from_pretrained, BertForSequenceClassification.from_pretrained,
              lambda o: pipeline('text-classification', o)):
        with pytest.raises((ValueError,OSError)): f(str(good['mean']))

def test_older_schema(folder, monkeypatch):
    import toxicai.serve.folder as module
    edit(folder/'toxicai.json', lambda d: (d.update(schema=0), d.pop('drift')))
    monkeypatch.setitem(module._migrations, 0, lambda d: {**d, 'schema':1, 'drift':{}})
    assert read_folder(folder).drift=={}

def test_link_inside(folder):
    "A link to another file of the same folder is harmless"
    (folder/'model.safetensors').replace(folder/'weights')
    (folder/'model.safetensors').symlink_to('weights')
    assert len(Detector(folder, **torch_only)('a'))==1

@pytest.mark.parametrize('bytes,err', [(b'', 'is empty'), (b'\x80\x04pickle', 'cannot be run'), (b'\x0a\x08location\x12\x0b/etc/passwd', 'cannot be run'), (b'\x08\x07'*1000, 'cannot be run')])
@pytest.mark.parametrize('backend', ['onnx','openvino'])
def test_onnx(folder, backend, bytes, err):
    pytest.importorskip({'onnx':'onnxruntime'}.get(backend, backend))
    (folder/'model.onnx').write_bytes(bytes)
    with pytest.raises(FolderError, match=err): Detector(folder, backend)

# What nobody checked is not opened

def sabotaged(folder):
    "Files that transformers would open in a folder of its own: an adapter, its weights, a generation configuration, code"
    (folder/'adapter_config.json').write_text(json.dumps(dict(peft_type='LORA', r=1, target_modules=['classifier'], base_model_name_or_path='x', megatron_config={'x':1}, megatron_core='os.evil')))
    (folder/'adapter_model.safetensors').write_bytes(b'x')
    (folder/'generation_config.json').write_text('[')
    (folder/'model.safetensors.index.json').write_text('[')
    (folder/'head.safetensors').write_bytes(b'x')
    (folder/'modeling.py').write_text(f"open('{TRACE}','w')")

def opened_files(f):
    "Names of the files that are opened for reading while `f` runs"
    import sys
    seen,on = set(),[True]
    def hook(event, args):
        if on[0] and event=='open' and isinstance(args[0], (str,bytes,Path)): seen.add(str(args[0]))
    sys.addaudithook(hook)
    try: res = f()
    finally: on[0] = False
    return res,seen

@pytest.mark.parametrize('pooling', ['own','mean'])
def test_only_checked_files_are_opened(good, tmp_path, monkeypatch, pooling):
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(good[pooling], tmp_path/'folder'))
    want = Detector(folder, **torch_only).scores(['you are an idiot'])
    sabotaged(folder)
    d,seen = opened_files(lambda: Detector(folder, **torch_only))
    names = {Path(o).name for o in seen if str(folder) in o}
    assert names=={'toxicai.json','config.json','tokenizer.json', 'model.safetensors' if pooling=='own' else 'mean_pooling.safetensors'}
    assert np.array_equal(d.scores(['you are an idiot']), want) and not Path(TRACE).exists()

def again(folder, **kwargs):
    dls = ToxicityDataLoaders.from_df(comments(), folder, text_col='text', label_cols=['toxic','insult'], bs=8, **kwargs)
    return toxicity_learner(dls)

def test_learner_from_a_folder(folder):
    "A detector folder as checkpoint: the encoder of the folder, and none of what else lies in it"
    sabotaged(folder)
    learn,seen = opened_files(lambda: again(folder))
    names = {Path(o).name for o in seen if str(folder) in o}
    assert not names & {'adapter_config.json','adapter_model.safetensors','generation_config.json','model.safetensors.index.json','head.safetensors','modeling.py'}
    from safetensors.torch import load_file
    state = learn.model.state_dict()
    for k,v in load_file(folder/'model.safetensors').items():
        if k.startswith('bert.'): assert (state[k].cpu()==v).all(), k

by_learner = {
    'kernels': (change('config.json', 'attn_implementation', to='a/b'), "has the key 'attn_implementation'"), 'weights are a link out': (link_out('model.safetensors'), 'leads out of the folder'),
    'configuration is a link out': (link_out('config.json'), 'leads out of the folder'), 'tokenizer is a link out': (link_out('tokenizer.json'), 'leads out of the folder'), 'settings are a link out': (link_out('tokenizer_config.json'), 'leads out of the folder'),
    'code of a tokenizer': (change('tokenizer_config.json', 'auto_map', to={'AutoTokenizer':['evil.T',None]}), "has the key 'auto_map'"), 'file of a tokenizer': (change('tokenizer_config.json', 'vocab_file', to='/etc/passwd'), "has the key 'vocab_file'"),
    'tokenizer that backtracks': (hostile['random tokenizer'][0], "'tokenizer.json' cannot be read"), 'weights cut in half': (truncated, 'not a safetensors file'), 'a pickle': (pickled, 'not a safetensors file')}

@pytest.mark.parametrize('name', by_learner)
def test_learner_refuses(folder, name):
    attack,err = by_learner[name]
    attack(folder)
    with pytest.raises(FolderError) as e: again(folder)
    assert err in str(e.value) and not Path(TRACE).exists()

# Files that change

@pytest.mark.parametrize('backend', list(backends))
def test_cut_while_serving(folder, tmp_path, backend):
    "No engine keeps a file mapped: cutting it would end the process"
    if why_not(read_folder(folder), backend):
        if backends[backend].file is None or why_not(read_folder(folder), 'torch'): pytest.skip(why_not(read_folder(folder), backend))
        pytest.importorskip('onnxscript')
        pytest.importorskip(backends[backend].library)
        if backends[backend].lacks and backends[backend].lacks(): pytest.skip(backends[backend].lacks())
        folder = again(tiny_checkpoint()).save_detector(tmp_path/'onnx', onnx=True)
    d = Detector(folder, backend, recheck=False)
    want = d.scores(['you are an idiot'])
    if Path('/proc/self/maps').exists(): assert str(folder) not in Path('/proc/self/maps').read_text()
    for o in folder.iterdir(): os.truncate(o, 0)
    assert np.array_equal(d.scores(['you are an idiot']), want)

def test_changes_while_opened(folder):
    "An engine that opens the file by its name could read other bytes than those that were checked"
    def own(f): return add_backend(Backend('own', 'numpy', 'numpy', lambda folder, path, threads, at_once: (f(path), lambda x: np.zeros((len(x['input_ids']), 2)))[1]))
    try:
        own(lambda path: None)
        assert len(Detector(folder, 'own')('a'))==1
        for f in (lambda path: os.utime(path), lambda path: path.write_bytes(path.read_bytes()), lambda path: shutil.copy(path, path.with_name('x')) and os.replace(path.with_name('x'), path)):
            own(f)
            with pytest.raises(FolderError, match='was changed while it was opened'): Detector(folder, 'own')
    finally: del backends['own']

def put_back(path):
    "Another network for a moment, then what was there, with its time"
    old,info = path.read_bytes(),path.stat()
    path.write_bytes(b'another')
    time.sleep(.02) # the clock of files ticks every few milliseconds
    path.write_bytes(old)
    os.utime(path, ns=(info.st_atime_ns,info.st_mtime_ns))

def odd_network(path):
    time.sleep(.2) # longer than the comparison takes
    raise FolderError('an operator that nobody knows')

@pytest.mark.parametrize('opener,damaged,err', [(put_back, False, 'was changed while it was opened'), (lambda path: None, True, 'lists'),
                                                (odd_network, True, 'lists'), (odd_network, False, 'nobody knows')])
def test_compared_beside_the_engine(folder, opener, damaged, err):
    "The digest is taken while the engine opens the file: what was put back is seen, and damage counts for more than what is odd"
    relist_files(folder)
    path = folder/'model.safetensors'
    if damaged: path.write_bytes(path.read_bytes()[:-1]+b'x')
    add_backend(Backend('own', 'numpy', 'numpy', lambda folder, path, threads, at_once: (opener(path), lambda x: np.zeros((len(x['input_ids']), 2)))[1]))
    try:
        with pytest.raises(FolderError, match=err): Detector(folder, 'own')
    finally: del backends['own']

@pytest.mark.parametrize('e,kind', [(KeyError('x'), FolderError), (RuntimeError('a\nb\x1b'), FolderError), (RuntimeError('CUDA out of memory'), RuntimeError), (MemoryError(), MemoryError)])
def test_engine_fails(folder, e, kind):
    def run(x): raise e
    add_backend(Backend('own', 'numpy', 'numpy', lambda *args: run))
    try:
        with pytest.raises(kind) as got: Detector(folder, 'own')
        assert kind is not FolderError or ("'model.safetensors' cannot be run" in str(got.value) and str(got.value).isprintable())
    finally: del backends['own']

# Damage at random

odd_values = [None, True, -1, 0, 3, 2**24, 2**31, 2**63, 10**400, 1e-30, 1e308, '', 'a', '\x00', 'x'*9999, '/etc/passwd', [], {}, [[]], ['a'], {'a':1}]

def mutated(d, rng):
    at,key = d,rng.choice(list(d))
    while isinstance(at[key], (dict,list)) and at[key] and rng.random()<.8:
        at = at[key]
        key = rng.choice(list(at)[:20]) if isinstance(at, dict) else rng.randrange(len(at))
    at[key] = rng.choice(odd_values)

@pytest.mark.parametrize('name', ['toxicai.json','config.json','tokenizer.json','model.safetensors'])
def test_random_damage(folder, name):
    "Some hundred changes of values, bits and lengths: a detector, or a `FolderError`"
    rng,good = random.Random(0),(folder/name).read_bytes()
    for i in range(60):
        data = bytearray(good)
        if name.endswith('.json') and i%3:
            d = json.loads(good)
            mutated(d, rng)
            data = json.dumps(d).encode()
        elif i%2: data[rng.randrange(min(len(data), 2000))] ^= 1<<rng.randrange(8)
        else: del data[rng.randrange(len(data)):]
        (folder/name).write_bytes(data)
        try: Detector(folder, **torch_only)(['you are an idiot', ''])
        except FolderError as e: assert str(e).isprintable() and len(str(e))<700

def ready_with(f):
    "An attack by what looks like the rest of a killed writer"
    def _attack(folder):
        ready = folder/'.toxicai-ready'
        ready.mkdir()
        (ready/'.toxicai-written.json').write_text(json.dumps(dict(files={'x':'0'*64})))
        f(folder, ready)
    return _attack

def hole(path): path.touch(); os.truncate(path, 2**40)
def through_link(folder, ready):
    (folder.parent/'out').mkdir()
    (folder.parent/'out'/'mine').write_text('mine')
    (folder/'sub').symlink_to(folder.parent/'out')
    (folder/'.toxicai-written.json').write_text(json.dumps(dict(files={'sub/mine':file_digest(folder.parent/'out'/'mine')})))

rests = dict(absent=lambda folder, ready: None, hole=lambda folder, ready: hole(ready/'x'), record=lambda folder, ready: hole(ready/'.toxicai-written.json'),
    old_record=lambda folder, ready: ((ready/'x').touch(), (folder/'.toxicai-written.json').write_text('{')), fifo=lambda folder, ready: os.mkfifo(ready/'x'),
    a_folder=lambda folder, ready: (ready/'x').mkdir(), link=through_link)

@pytest.mark.parametrize('name', rests)
def test_forged_rest(folder, name):
    "What looks like the rest of a killed writer is checked before it is put in place, and nothing is deleted"
    ready_with(rests[name])(folder)
    before = sorted(o.name for o in folder.parent.rglob('*') if '.toxicai' not in o.name)
    with pytest.raises(FolderError, match='cannot be read'): read_folder(folder)
    assert sorted(o.name for o in folder.parent.rglob('*') if '.toxicai' not in o.name)==before

@pytest.mark.parametrize('target', ['../home','home','.'])
def test_rest_is_a_link(folder, target):
    "A link in the place of what a killed writer left: empty folders behind it are somebody's"
    for o in (folder, folder.parent): (o/'home'/'Downloads').mkdir(parents=True)
    (folder/'.toxicai-ready').symlink_to(target)
    with pytest.raises(FolderError, match='is a link, which toxicai does not make'): read_folder(folder)
    with pytest.raises(FileExistsError, match='is a link'): write_meta(folder, read_json(folder/'toxicai.json'))
    assert all((o/'home'/'Downloads').is_dir() for o in (folder, folder.parent))

steering = {'metrics':{'\x1b[2J':.5}, 'versions':{'toxicai':'\x1b]0;owned\x07'}, 'measured':{'by':'\x9b31m'}, 'data':{'\u202etrain':{'texts':3}}, 'drift':{'onnx':{'why':'\r'}}}
odd_figures = {'metrics':[{'auc':'high'}, {'auc':None}, {'auc':{'a':1}}, {'auc':True}, []], 'measured':[{'set':'x'}, {'set':'x', 'texts':'many', 'date':'d', 'thresholds':'t'}]}

@pytest.mark.parametrize('key,value', [*steering.items(), *[(k,v) for k,vs in odd_figures.items() for v in vs]])
def test_notes_for_people(folder, key, value):
    "Notes are printed and counted: they steer no terminal, and figures are numbers"
    d = json.loads((folder/'toxicai.json').read_text())
    (folder/'toxicai.json').write_text(json.dumps({**d, key:value}))
    with pytest.raises(FolderError, match=f"`{key}` of 'toxicai.json' is .*expected an object") as e: read_folder(folder)
    assert str(e.value).isprintable()

def test_card_on_a_terminal(folder):
    "The card of a stranger is text"
    from toxicai.cli import info_command
    relist_files(folder)
    (folder/'README.md').write_text('# Card\n\x1b]0;owned\x07 \u202e two\n')
    relist_files(folder)
    assert info_command(str(folder), card=True).words=='# Card\n\\x1b]0;owned\\x07 \\u202e two\n'

@pytest.mark.parametrize('name', ['README.md','check.json'])
def test_hole_for_people(folder, name):
    "A card or a list of scores with a hole of a terabyte is not read into memory"
    from toxicai.cli import info_command
    from toxicai.serve.packaged import check_scores
    (folder/name).touch()
    relist_files(folder)
    os.truncate(folder/name, 2**40)
    with pytest.raises(Exception) as e: info_command(str(folder), card=True) if name=='README.md' else check_scores(folder)
    assert '1,099,511,627,776 bytes: expected 16,777,216 at most' in str(e.value.__cause__ or e.value)

"""Texts, folders, checkpoints, sweeps and tables that nobody would write, at every door that takes foreign ones. What
is found: exceptions of another kind than promised (SECURITY.md), processes that hang or die, and memory that grows.

    python -m benchmarks.fuzz [--texts 100000] [--folders 2000] [--updates 1000] [--checkpoints 200] [--sweeps 200]
                              [--tables 2000] [--seconds 3600] [--seed 0] [--file fuzz.jsonl]
    python -m benchmarks.fuzz --one folders 123 [--seed 0]

Each case is drawn from the seed, its kind and its number, so `--one` repeats it here, with the whole traceback. Cases
run in processes of their own with a limit of memory; one that works for 30 seconds, or waits for nothing after them,
is ended and counted as a hang. With `--file` a line of JSON is added for each kind. A count of 0 leaves a kind out;
after `--seconds` no further case is begun. Ends with status 1 when there are findings. """
import json,os,queue,random,resource,shutil,subprocess,sys,tempfile,threading,time,traceback,warnings
from collections import Counter,defaultdict
from copy import deepcopy
from pathlib import Path

from benchmarks.common import *

CASE_TEXTS = 100 # texts of one case
LIMIT = 30 # seconds for a case
MEMORY = 6*2**30 # bytes of address space beside what a worker has when it begins
GROWTH = 300 # MiB that a worker may grow after its first cases

# What to change a value to

WORDS = ['', 'a', 'x'*5000, '../../etc/passwd', '/dev/zero', 'http://localhost/x', 'os.system', '__class__', '\x00',
         '\x1b[31m', '\u202e', 'ﬁ', '\ud800', 'NaN', 'true', 'null', '{}', 'float16', 'bfloat16', 'cuda', 'sdpa',
         'eager', 'gelu', 'linear', 'bert', 't5', 'Lowercase', 'NFKC', 'Replace']
NUMBERS = [0, 1, -1, 2, 3, 7, 64, 1000, 2**15, 2**20, 2**31-1, 2**31, 2**53, 2**63-1, 2**64, 10**30,
           .5, -.5, 1e-300, 1e308]
KEYS = ['auto_map', 'trust_remote_code', 'attn_implementation', '_attn_implementation', 'quantization_config',
        'dtype', 'torch_dtype', 'use_cache', 'tie_word_embeddings',
        'pruned_heads', 'adapters', 'base_model_name_or_path', 'transformers_version', 'is_decoder',
        'chunk_size_feed_forward', 'problem_type', 'dropout', 'schema', 'pattern']

def odd_value(rng): # A `random.Random`
    "Something that a file could hold in the place of a value"
    kind = rng.randrange(8)
    if kind<2: return rng.choice(WORDS)
    if kind<5: return rng.choice(NUMBERS)
    if kind==5: return rng.choice([None, True, False, [], {}, [[]], {'a':{}}])
    if kind==6: return [odd_value(rng) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS+KEYS):odd_value(rng) for _ in range(rng.randrange(3))}

def places(o, at=()): # Every place in nested lists and dicts: (container, key)
    inner = o.items() if isinstance(o, dict) else enumerate(o) if isinstance(o, list) else ()
    for k,v in list(inner)[:2000]:
        yield o,k
        yield from places(v)

def change_value(rng, d):
    "One change in nested lists and dicts, most often near the top"
    found = list(places(d))
    if not found: return
    o,k = rng.choice(found[:40] if rng.random()<.5 else found)
    how = rng.randrange(6)
    if how==0: del o[k]
    elif how==1 and isinstance(o, dict): o[rng.choice(KEYS+WORDS)] = o[k] if rng.random()<.5 else odd_value(rng)
    elif how==2: o[k] = deepcopy(rng.choice([p[q] for p,q in found]))
    elif how==3 and isinstance(o[k], (int,float)): o[k] = o[k]*rng.choice([-1,0,2,1000,.5])+rng.choice([0,1,-1])
    elif how==4 and isinstance(o[k], list): o[k] = o[k]*rng.choice([0,2,50])
    else: o[k] = odd_value(rng)

def changed_bytes(rng, b):
    "Bytes flipped, cut, doubled or put in"
    b = bytearray(b)
    for _ in range(rng.choice([1,1,1,3,20])):
        at,n = rng.randrange(len(b)+1),rng.choice([1,2,8,100])
        how = rng.randrange(5)
        if how==0: del b[at:at+n]
        elif how==1: b[at:at] = rng.randbytes(n)
        elif how==2: b[at:at] = b[at:at+n]*rng.choice([1,3])
        elif how==3: b[at:at+n] = bytes([rng.choice([0,9,10,34,44,92,127,128,255])])*n
        elif at<len(b): b[at] ^= 1<<rng.randrange(8)
    return bytes(b[:rng.randrange(len(b)+1)] if rng.random()<.05 else b)

def structure(read, share):
    "A decorator: a share of the changes, and those of files that cannot be read any more, are in the bytes"
    def _around(change):
        def _change(rng, path):
            try: found = None if rng.random()<share else read(path)
            except Exception: found = None # broken by a change before
            if found is not None: return change(rng, path, found)
            return path.write_bytes(changed_bytes(rng, path.read_bytes()))
        return _change
    return _around

@structure(lambda path: json.loads(path.read_text()), .15)
def change_json(rng, path, d):
    "A change within a JSON file"
    for _ in range(rng.choice([1,1,1,2,5])): change_value(rng, d)
    path.write_text(json.dumps(d))

# Folders

def header_and_rest(path):
    b = path.read_bytes()
    n = int.from_bytes(b[:8], 'little')
    return json.loads(b[8:8+n]),b[8+n:]

@structure(header_and_rest, .3)
def change_weights(rng, path, parts):
    "A change in the header of a safetensors file"
    header,rest = parts
    change_value(rng, header)
    new = json.dumps(header).encode()
    path.write_bytes((len(new) if rng.random()<.95 else rng.choice([0,2**31,2**63])).to_bytes(8, 'little')+new+rest)

def odd_ints(rng): return [rng.choice([-1,0,1,2,7,128,2**20,2**31,2**40,2**62]) for _ in range(rng.randrange(5))]

OPERATORS = ['Loop','If','Scan','Tile','Expand','Range','ConstantOfShape','NonZero','StringConcat']

def change_node(rng, graph):
    "One operator of an ONNX graph is another, or has other inputs or attributes"
    from onnx import helper
    o,how = rng.choice(graph.node),rng.randrange(7)
    if how==0: o.op_type = rng.choice([p.op_type for p in graph.node]+OPERATORS)
    elif how==1 and o.input: o.input[rng.randrange(len(o.input))] = rng.choice(rng.choice(graph.node).output or [''])
    elif how==2 and o.attribute: o.attribute[rng.randrange(len(o.attribute))].i = rng.choice([-9,-1,0,1,2,99,2**40])
    elif how==3:
        name = rng.choice(['axis','to','perm','start','keepdims','allowzero'])
        value = rng.choice([0,-1,5,1.5,'x']) if rng.random()<.7 else odd_ints(rng) or [0]
        o.attribute.append(helper.make_attribute(name, value))
    elif how==4: graph.node.remove(o)
    elif how==5: graph.node.insert(rng.randrange(len(graph.node)), o)
    else: o.domain = rng.choice(['com.microsoft','ai.onnx.ml',''])

def change_graph(rng, graph):
    "A change in an ONNX graph"
    from onnx import numpy_helper
    import numpy as np
    small = [o for o in graph.initializer if o.data_type==7 and np.prod(o.dims, dtype=int)<20]
    how = rng.randrange(6)
    if how<3: return change_node(rng, graph)
    if how==3 and small:
        o = rng.choice(small)
        def _drawn(): return [rng.choice([-1,0,1,2,7,2**20,2**40,2**62]) for _ in range(np.prod(o.dims, dtype=int))]
        values = odd_ints(rng) if rng.random()<.3 else _drawn()
        shape = list(o.dims) if np.prod(o.dims, dtype=int)==len(values) else [len(values)]
        return o.CopyFrom(numpy_helper.from_array(np.array(values, dtype=np.int64).reshape(shape), o.name))
    if how==4 and graph.initializer:
        o = rng.choice(graph.initializer)
        if rng.random()<.5: return o.dims.append(rng.choice([0,1,2,2**40]))
        return setattr(o, 'data_type', rng.randrange(24))
    ends = rng.choice([graph.input, graph.output])
    if not len(ends): return
    end = rng.choice(ends)
    if rng.random()<.5: ends.remove(end)
    else: end.name = rng.choice(['x','input_ids','logits'])

def onnx_model(path):
    import onnx
    m = onnx.load(path, load_external_data=False)
    return m if m.graph.node else None

@structure(onnx_model, .3)
def change_onnx(rng, path, m):
    "A change in the graph of an ONNX file"
    for _ in range(rng.choice([1,1,2,4])): change_graph(rng, m.graph)
    if rng.random()<.05: m.opset_import[0].version = rng.choice([0,1,17,99])
    path.write_bytes(m.SerializeToString())

OTHER_FILES = ['adapter_config.json','adapter_model.safetensors','pytorch_model.bin','modeling.py','model.onnx.data',
               'generation_config.json','model.safetensors.index.json']
OWN_FILES = ['toxicai.json','config.json','tokenizer.json','model.safetensors','mean_pooling.safetensors','model.onnx',
             'model.int8.onnx','model.int8.update.safetensors','tokenizer_config.json','*']

def change_entry(rng, folder):
    "A file of the folder is away, a link, another file, or there is one more"
    o,how = rng.choice(sorted(p for p in folder.iterdir() if p.is_file() and not p.is_symlink())),rng.randrange(5)
    if how==0: o.unlink()
    elif how==1:
        o.unlink()
        o.symlink_to(rng.choice(['..', '/dev/zero', '/etc/passwd', 'toxicai.json', o.name, 'nothing']))
    elif how==2: o.write_bytes(rng.choice(sorted(p for p in folder.iterdir() if p.is_file())).read_bytes())
    elif how==3: (folder/rng.choice(OTHER_FILES)).write_bytes(o.read_bytes()[:2000])
    else: (o.unlink(), o.mkdir())

def change_folder(rng, folder):
    "One to three changes in a detector folder"
    for _ in range(rng.choice([1,1,1,2,3])):
        p = folder/rng.choice(OWN_FILES)
        if p.name=='*': change_entry(rng, folder)
        elif not p.is_file() or p.is_symlink(): continue
        elif p.suffix=='.json': change_json(rng, p)
        else: (change_onnx if p.suffix=='.onnx' else change_weights)(rng, p)

UPDATE = 'model.int8.update.safetensors'

def filled(m, n):
    "A network in exactly `n` bytes, with blanks where it says nothing; None where it has more"
    for o in m.graph.node:
        if n-m.ByteSize()<3000: break
        o.doc_string = ' '*1000
    room = n-m.ByteSize()
    for k in range(room, max(0, room-12), -1): # the length has a length, too
        m.graph.doc_string = ' '*k
        if m.ByteSize()==n: return m.SerializeToString()

def changed_network(rng, content):
    "The bytes of a network with a changed graph, as many as before: names of its operators make room"
    import onnx
    m = onnx.load_from_string(content)
    for o in m.graph.node: o.name = ''
    for _ in range(rng.choice([1,1,2])): change_graph(rng, m.graph)
    return filled(m, len(content)) or content

def odd_name(rng, k):
    return rng.choice([f'-{k}', f'0{k}', f'{k}.0', f' {k}', k+'0'*12, '', 'model.onnx', '\u0664', '__metadata__x'])

def odd_ranges(rng, arrays, content):
    "The arrays of an update, of which some begin elsewhere, hold other bytes, or are more than there may be"
    import numpy as np
    keys,how = [o for o in sorted(arrays) if o.isascii() and o.isdecimal()],rng.choice([0,1,1,1,2,2,2,3,4,5,6,7])
    if not keys: return arrays
    k = rng.choice(keys)
    at = rng.randrange(len(content)*rng.choice([1,30,100])//100+1) # operators stand before the weights
    there,own = np.frombuffer(content[at:at+rng.choice([1,1,2,8,100])], np.uint8).copy(),arrays[k]
    if how==0: arrays[str(max(0, int(k)+rng.choice([-1,1,8,len(content)])))] = arrays.pop(k)
    elif how==1 and len(there): arrays[str(at)] = there^(1<<rng.randrange(8))
    elif how==2 and len(there): arrays[str(at)] = np.frombuffer(rng.randbytes(len(there)), np.uint8)
    elif how==3: arrays[str(at)] = own
    elif how==4 and len(own): arrays[str(int(k)+rng.randrange(len(own)))] = own[:1]
    elif how==5: arrays |= {str(i*rng.choice([1,3])):there[:1] for i in range(rng.choice([3,600]))}
    elif how==6: arrays[odd_name(rng, k)] = arrays.pop(k)
    else: arrays[k] = rng.choice([own[:0], own.astype(np.int8), own[:1].astype(np.float32), own.reshape(1,-1)])
    return arrays

def change_update(rng, folder):
    "One to three changes in the update of a network, or an update that makes another network of it"
    import numpy as np
    from toxicai.stored import StoredTensors,stored_arrays,tensor_file
    path,content = folder/UPDATE,(folder/'model.int8.onnx').read_bytes()
    if rng.random()<.15: return change_weights(rng, path)
    with open(path, 'rb') as f: arrays = stored_arrays(StoredTensors(f, UPDATE))
    if rng.random()<.4: arrays = {'0':np.frombuffer(changed_network(rng, content), np.uint8)}
    else:
        for _ in range(rng.choice([1,1,3])): arrays = odd_ranges(rng, arrays, content)
    notes = dict(base='0'*64) if rng.random()<.05 else {}
    path.write_bytes(tensor_file(arrays, **notes))

def take_list(folder):
    "A list of files refuses most changes; without one their content counts"
    path = folder/'toxicai.json'
    try: path.write_text(json.dumps({**json.loads(path.read_text()), 'files':{}}))
    except (OSError,ValueError,TypeError): pass # changed before

def finite(scores):
    import numpy as np
    scores = np.asarray(scores)
    assert np.isfinite(scores).all() and (scores>=0).all() and (scores<=1).all(), f'scores {scores!r:.100}'

def open_folder(rng, world, here):
    "A detector folder that was changed, opened, and asked about a few texts"
    from toxicai import Detector
    from toxicai.serve.backends import backends,engine_installed
    shutil.copytree(rng.choice(sorted((world/'folders').iterdir())), here/'d')
    change_folder(rng, here/'d')
    if rng.random()<.7: take_list(here/'d')
    def _runs(o): return engine_installed(o.library) and not (o.lacks and o.lacks())
    def _is_there(o): return o.file is None or (here/'d'/o.file).exists()
    names = ['auto', *[k for k,o in backends.items() if _runs(o) and _is_there(o)]]
    d = Detector(here/'d', rng.choice(names), threads=1)
    finite(d.scores(['thank you', odd_text(rng)[:500], 'you are an idiot '*20]))

def open_update(rng, world, here):
    "A folder whose network has an update that was changed, opened, and asked about a few texts"
    from toxicai import Detector
    shutil.copytree(world/'folders'/'updated', here/'d')
    change_update(rng, here/'d')
    if rng.random()<.2: change_folder(rng, here/'d')
    if rng.random()<.9: take_list(here/'d')
    d = Detector(here/'d', 'onnx-int8', threads=1)
    finite(d.scores(['thank you', odd_text(rng)[:500], 'you are an idiot '*20]))

# Texts

RANGES = [(0,32),(32,127),(32,127),(32,127),(128,256),(0x300,0x370),(0x400,0x500),(0x590,0x700),(0x900,0x980),
          (0x1d400,0x1d800),(0x2000,0x2070),(0x3040,0x3100),(0x4e00,0x5000),(0xfe00,0xfe10),(0xff00,0xffef),
          (0x1f300,0x1f700),(0x1f3fb,0x1f400),(0xe0000,0xe0080),(0xd800,0xe000),(0xac00,0xad00)]
PARTS = ['you are an idiot ', 'thank you ', '&amp;', '&#x41;', '&lt;', 'Ã©', 'â€™', 'ðŸ˜€', '@user ',
         '#IdiotOfTheYear ', 'https://a.b/c?d=e ', '😂', '👩\u200d👩\u200d👧', 'ha'*20, '!'*30, 'i d i o t ', '1d10t ',
         '\u200b', '\u202e', '\ufeff', 'ﷺ', '\r\n', '\x00', '(╯°□°)╯', ':smile:', "don't ", '"',
         '[SEP]', '<s>', '\ud800', '\udfff']

def odd_text(rng):
    "A text of letters, parts and runs that comments do not have"
    res = []
    for _ in range(1+int(rng.expovariate(.15))):
        low,high = rng.choice(RANGES)
        n = rng.choice([1,1,2,5,20])
        run = ''.join(chr(rng.randrange(low, high)) for _ in range(n)) if rng.random()<.5 else rng.choice(PARTS)
        res.append(run*rng.choice([1]*20+[50,500]))
    return ''.join(res)[:20_000]

def judge_texts(rng, world, here):
    "Texts through rules and detector"
    from toxicai import Detector
    from toxicai.text.encoding import long_ways
    from toxicai.text.rules import Rules,presets
    name = rng.choice(sorted(presets))
    rules,texts = Rules(name),[odd_text(rng) for _ in range(CASE_TEXTS)]
    for o in texts:
        try: assert isinstance(rules(o), str)
        except Exception as e: raise type(e)(f'{e!s:.300} at {o!r:.200}') if type(e).__init__ is Exception.__init__ else e
    for long in long_ways:
        if long not in detectors: detectors[long] = Detector(world/'folders'/'own', threads=1, long=long)
        finite(detectors[long].scores(texts))

detectors = {} # Those that a worker keeps open

# Checkpoints, sweeps, tables

def small_learner():
    from toxicai.all import ToxicityDataLoaders,toxicity_learner
    from toxicai.test_utils import comments,tiny_checkpoint
    cols = dict(text_col='text', label_cols=['toxic','insult'])
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), bs=8, seed=1, **cols)
    return toxicity_learner(dls, seed=1)

def change_state(rng, path):
    "A change in what torch stored, which stays loadable without code"
    import torch
    state = torch.load(path, weights_only=True)
    found = list(places(state))
    o,k = rng.choice(found)
    v = o[k]
    o[k] = odd_value(rng)
    if isinstance(v, torch.Tensor):
        unknown = v*float('nan') if v.is_floating_point() else v
        o[k] = rng.choice([v.flatten(), v[:0] if v.ndim else v, v.double(), unknown, torch.zeros(3), o[k]])
    torch.save(state, path)

def resume_checkpoint(rng, world, here):
    "A training that goes on from a checkpoint that was changed"
    import hashlib
    shutil.copytree(world/'checkpoint', here/'c')
    info = max((here/'c').glob('*.json'))
    state,honest = info.with_suffix('.pt'),rng.random()<.7
    if rng.random()<.6: change_json(rng, info)
    elif rng.random()<.7: change_state(rng, state)
    else: state.write_bytes(changed_bytes(rng, state.read_bytes()))
    try: facts = json.loads(info.read_text())
    except ValueError: facts = None
    if honest and isinstance(facts, dict):
        sha = hashlib.sha256(state.read_bytes()).hexdigest()
        info.write_text(json.dumps({**facts, 'sha256':sha}))
    learn = small_learner()
    with learn.no_bar(),learn.no_logging(): learn.resume(here/'c', cbs=[stopper(None)])

def read_sweep(rng, world, here):
    "A sweep's folder that was changed, read again"
    from toxicai.runs.sweeps import Sweep
    shutil.copytree(world/'sweep', here/'s')
    p = here/'s'/rng.choice(['plan.json','made_of.json','runs.jsonl'])
    if p.suffix=='.json': change_json(rng, p)
    elif rng.random()<.3: p.write_bytes(changed_bytes(rng, p.read_bytes()))
    else:
        runs = [json.loads(o) for o in p.read_text().splitlines()]
        change_value(rng, runs)
        p.write_text('\n'.join(map(json.dumps, runs))+'\n')
    s = Sweep(here/'s')
    s.results()
    s.best()

def load_table(rng, world, here):
    "A file of comments that was changed, read"
    from toxicai.data.load import load_comments
    p = here/rng.choice(sorted((world/'tables').iterdir())).name
    p.write_bytes(changed_bytes(rng, (world/'tables'/p.name).read_bytes()))
    res = load_comments(p)
    [res[i] for i in range(min(3, len(res)))]

# Kinds

def foreign_errors():
    "What a file of a stranger's may end in, by kind"
    from toxicai.serve.folder import FolderError
    from toxicai.runs.configs import SettingError
    trainings = ValueError,FileNotFoundError,FloatingPointError # a loss that is no number
    return dict(texts=(), folders=(FolderError,), updates=(FolderError,), checkpoints=trainings,
                sweeps=(SettingError,FileNotFoundError), tables=(ValueError,TypeError))

def is_promised(kind, e, promised):
    "Is `e` what a file of a stranger's may end in? Errors of decoders do not name the file"
    lacks_file = str(e).startswith(('the backend', 'no backend can run')) # no fault of the folder
    if kind in ('folders','updates') and lacks_file: return isinstance(e, (ValueError,ImportError))
    return isinstance(e, promised) and not isinstance(e, (json.JSONDecodeError,UnicodeError))

kinds = dict(texts=judge_texts, folders=open_folder, updates=open_update, checkpoints=resume_checkpoint,
             sweeps=read_sweep, tables=load_table)

def add_update(learn, folders):
    "The folder 'own' with another head, as an update of its network"
    from toxicai.train.export import update_network
    learn.model.classifier.weight.data += .1
    update_network(learn.save_detector(folders/'updated', onnx=True), folders/'own')

def make_world(folder, names):
    "Sound files of each kind"
    from importlib.util import find_spec
    from toxicai.test_utils import comments
    (folder/'tables').mkdir()
    df = comments(60)
    df.to_csv(folder/'tables'/'a.csv', index=False)
    df.to_csv(folder/'tables'/'a.tsv', index=False, sep='\t')
    df.to_json(folder/'tables'/'a.jsonl', orient='records', lines=True)
    df.to_parquet(folder/'tables'/'a.parquet', index=False)
    df.to_csv(folder/'tables'/'a.csv.gz', index=False)
    learn = small_learner()
    if {'texts','folders','updates'} & set(names):
        onnx = all(map(find_spec, ('onnx','onnxscript','onnxruntime')))
        learn.save_detector(folder/'folders'/'own', onnx=onnx)
        if onnx: add_update(learn, folder/'folders')
        from toxicai.all import toxicity_learner
        toxicity_learner(learn.dls, pooling='mean').save_detector(folder/'folders'/'mean')
    if 'checkpoints' in names: make_checkpoint(folder/'checkpoint')
    if 'sweeps' in names: make_sweep(folder/'sweep')

def stopper(at): # A callback that stops a training after `at` batches; never where it is None
    from fastai.callback.core import Callback
    class Stop(Callback):
        order = 90
        def after_batch(self):
            if self.train_iter==at: raise KeyboardInterrupt
    return Stop()

def make_checkpoint(folder):
    from toxicai.all import Checkpoint
    learn = small_learner()
    try:
        with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-3, cbs=[Checkpoint(folder, 1), stopper(2)])
    except KeyboardInterrupt: pass

def make_sweep(folder):
    from toxicai.runs.sweeps import Sweep
    plan = dict(method='grid', metric=dict(name='valid/loss', goal='minimize'),
                parameters=dict(lr=dict(values=[1e-3,1e-2])))
    from toxicai.test_utils import comments,tiny_checkpoint
    how = dict(checkpoint=str(tiny_checkpoint()), text_col='text', label_cols=['toxic'], bs=8)
    Sweep(folder, plan, comments(), keep=True, **how).go()

# Processes

def run_case(kind, n, seed, world):
    "One case, in a folder of its own that is gone afterwards"
    with tempfile.TemporaryDirectory() as d,warnings.catch_warnings():
        warnings.simplefilter('ignore')
        kinds[kind](random.Random(f'{seed} {kind} {n}'), world, Path(d))

def place_of(e):
    "The last line of the library that an exception came through"
    frames = [o for o in traceback.extract_tb(e.__traceback__) if '/toxicai/' in o.filename]
    return f'{Path(frames[-1].filename).stem}.{frames[-1].name}' if frames else 'elsewhere'

def own_bytes(field): # 0: address space, 1: memory in use
    "Bytes that this process has; 0 where there is no /proc"
    path = Path('/proc/self/statm')
    return int(path.read_text().split()[field])*resource.getpagesize() if path.exists() else 0

def outcome(kind, n, seed, world, promised):
    "A row about one case"
    start = time.perf_counter()
    try: run_case(kind, n, seed, world)
    except BaseException as e:
        is_fine = not isinstance(e, (KeyboardInterrupt,SystemExit)) and is_promised(kind, e, promised)
        if is_fine: res = dict(error=type(e).__name__)
        else: res = dict(odd=f'{type(e).__name__} in {place_of(e)}', says=f'{e!s:.200}')
    else: res = dict(error='none')
    return dict(n=n, seconds=round(time.perf_counter()-start, 3), mib=own_bytes(1)>>20, **res)

def limit_memory():
    "No more address space than `MEMORY` beside what there is"
    now = own_bytes(0)
    if now: resource.setrlimit(resource.RLIMIT_AS, (now+MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))

def work(kind, seed, world):
    "Answer the number of each case that comes in with a row, until no more come"
    out = os.fdopen(os.dup(1), 'w')
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    quiet()
    promised = foreign_errors()[kind]
    import toxicai.all
    limit_memory()
    for line in sys.stdin:
        print(json.dumps(outcome(kind, int(line), seed, world, promised)), file=out, flush=True)

def of_process(pid, pattern):
    "Fields behind the name, of each file; none where there is no /proc, or the process has ended"
    try: return [o.read_text().rpartition(')')[2].split() for o in Path('/proc').glob(f'{pid}/{pattern}')]
    except OSError: return []

def busy_seconds(pid):
    "Seconds of a processor that a process has had, so that a case is no hang because the machine is busy with others"
    return sum(int(o[11])+int(o[12]) for o in of_process(pid, 'stat'))/os.sysconf('SC_CLK_TCK')

def is_busy(pid):
    "Has a process something to do, and perhaps no processor to do it on?"
    return any(o[0] in 'RD' for o in of_process(pid, 'task/*/stat'))

class Worker:
    "A process that answers each number that it is given with a row"
    def __init__(self, cmd, **env):
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.process = subprocess.Popen(cmd, env={**os.environ, **env}, **pipes)
        self.answers = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
    def _listen(self):
        for o in self.process.stdout: self.answers.put(json.loads(o))
        self.answers.put(None)
    def _answer(self, limit):
        "What comes; `queue.Empty` when it has worked for `limit` seconds, or waits for nothing after them"
        begun,worked = time.monotonic(),busy_seconds(self.process.pid)
        while True:
            try: return self.answers.get(timeout=1)
            except queue.Empty:
                late = time.monotonic()-begun>limit and not is_busy(self.process.pid)
                if late or busy_seconds(self.process.pid)-worked>limit: raise
    def ask(self, n, limit): # A row; `odd` where the process hangs or died
        try:
            print(n, file=self.process.stdin, flush=True)
            res = self._answer(limit)
        except queue.Empty: res = dict(n=n, odd=f'hangs: no answer in {limit:.0f} s', says='')
        except BrokenPipeError: res = None
        if res is None: res = dict(n=n, odd=f'dies: status {self.process.wait()}', says='')
        return res
    def end(self):
        self.process.kill()
        self.process.wait()

def run_kind(kind, count, seed, world, until):
    "Rows of `count` cases, begun before `until`"
    cmd = [sys.executable, '-W', 'ignore', '-m', 'benchmarks.fuzz', '--work', kind, str(world), '--seed', str(seed)]
    rows,worker,first = [],None,True
    for n in range(count):
        if time.monotonic()>until: break
        if worker is None: worker,first = Worker(cmd, HF_DATASETS_CACHE=str(world/'cache')),True
        rows.append({**worker.ask(n, LIMIT+120*first), 'fresh':first})
        first = False
        if 'seconds' not in rows[-1]: worker = worker.end()
        n_odd = sum('odd' in o for o in rows)
        if sys.stderr.isatty():
            print(f'\r{kind}: {n+1:,} of {count:,}, {n_odd:,} findings ', end='', file=sys.stderr, flush=True)
    if worker: worker.end()
    if sys.stderr.isatty(): print(file=sys.stderr)
    return rows

def growth(rows):
    "How many MiB the worker that lived longest grew after the first fifth of its cases"
    lives,life = [],[]
    for o in rows:
        if o['fresh']: lives.append(life := [])
        if 'mib' in o: life.append(o['mib'])
    life = max(lives, key=len, default=[])
    return max(0, life[-1]-life[len(life)//5]) if len(life)>=10 else 0

def summary(kind, rows, seed):
    "Figures of a kind, with an example of each finding"
    odd = defaultdict(list)
    for o in rows:
        if 'odd' in o: odd[o['odd']].append(o)
    findings = {k:dict(cases=len(v), first=v[0]['n'], says=v[0]['says']) for k,v in odd.items()}
    more = growth(rows)
    if more>GROWTH: findings[f'grows by {more} MiB'] = dict(cases=len(rows), first=0, says='')
    seconds = [o['seconds'] for o in rows if 'seconds' in o]
    answers = dict(Counter(o['error'] for o in rows if 'error' in o))
    return dict(kind=kind, seed=seed, cases=len(rows), answers=answers, slowest=max(seconds, default=0.),
                growth_mib=more, findings=findings)

def report(res):
    "The summary of a kind as tables"
    answers = ', '.join(f'{k} {n:,}' for k,n in sorted(res['answers'].items()))
    n_texts = f" of {CASE_TEXTS} texts" if res['kind']=='texts' else ''
    print(f"\n{res['kind']}: {res['cases']:,} cases{n_texts}, seed {res['seed']}; {answers or 'no answer'}; "
          f"slowest {res['slowest']:.1f} s; memory grew by {res['growth_mib']} MiB")
    def _said(o): return o['says'].replace('|', '/').replace('\n', ' ')[:120]
    rows = [dict(finding=k, cases=o['cases'], first=o['first'], says=_said(o)) for k,o in res['findings'].items()]
    if rows: show(rows)

def run(counts, seed, seconds, file=None):
    "Run all kinds, print what was found, and give it"
    until,res = time.monotonic()+seconds,[]
    with tempfile.TemporaryDirectory(prefix='fuzz-') as d:
        make_world(Path(d), [k for k,n in counts.items() if n])
        for kind,n in counts.items():
            if not n: continue
            res.append(summary(kind, run_kind(kind, n, seed, Path(d), until), seed))
            report(res[-1])
            if file:
                with open(file, 'a') as f: f.write(json.dumps({**res[-1], 'machine':machine()})+'\n')
    return res

def run_one(kind, n, seed):
    "Repeat one case in this process"
    with tempfile.TemporaryDirectory(prefix='fuzz-') as d:
        make_world(Path(d), [kind])
        run_case(kind, n, seed, Path(d))

if __name__=='__main__':
    p = parser_of(__doc__)
    counts = dict(texts=100_000, folders=2000, updates=1000, checkpoints=200, sweeps=200, tables=2000)
    for k,n in counts.items(): p.add_argument(f'--{k}', type=int, default=n)
    p.add_argument('--seconds', type=float, default=3600)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--file', type=Path)
    p.add_argument('--one', nargs=2, metavar=('KIND','N'))
    p.add_argument('--work', nargs=2, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.work: sys.exit(work(args.work[0], args.seed, Path(args.work[1])))
    begin()
    if args.one: sys.exit(run_one(args.one[0], int(args.one[1]), args.seed))
    counts = {k:getattr(args, k) for k in kinds}
    counts['texts'] = -(-counts['texts']//CASE_TEXTS)
    sys.exit(any(o['findings'] for o in run(counts, args.seed, args.seconds, args.file)))

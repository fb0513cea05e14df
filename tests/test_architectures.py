"Keys of config.json: the list is that of transformers; what is not on it is neither written nor read"
import json,subprocess,sys

import pytest
from tools import config_keys
from toxicai.architectures import *
from toxicai.stored import *
from toxicai.test_utils import *
from toxicai.text.tokenizer import stored_config
from toxicai.train.export import architecture_of

def of(arch): return known_keys(json.loads((tiny_checkpoint(arch)/'config.json').read_text()))

def test_table():
    "The list holds every key of the installed configuration classes, with the kinds that they say; this is what `python -m tools.config_keys --write` would write"
    from transformers import PreTrainedConfig
    if 'is_encoder_decoder' not in PreTrainedConfig.__annotations__: pytest.skip('the configurations of this transformers have no types')
    stored,installed = config_keys.from_text(config_keys.path.read_text(encoding='utf-8')),config_keys.table(shared_keys)
    for kind,keys in installed.items():
        for k,kinds in keys.items(): assert set(kinds)<=set(stored[kind].get(k, ())), (kind, k, kinds)
    assert config_keys.as_text(config_keys.merged(stored, {}))==config_keys.path.read_text(encoding='utf-8')

def test_nothing_that_chooses_code():
    keys = {k for kind in architecture_lines() for k in architecture_keys(kind)}
    for o in ('attn_impl','kernel','quantization','auto_map','custom','path','_file','weights','fusion','experts_implementation','trust','adapter_config','torch_dtype','per_layer'):
        found = {k for k in keys if o in k}
        assert found<={'upsampling_kernel_size','conv_kernel_size','use_kernel','last_bottleneck_kernel_size'}, found
    assert {i for kind in architecture_lines() for v in architecture_keys(kind).values() for i in v.split('|')}<=set(value_kinds)

@pytest.mark.parametrize('arch', archs)
def test_every_family(arch):
    "Stored keys describe the same configuration"
    d = of(arch)
    check_architecture(d)
    a,b = (json.loads(o.to_json_string(use_diff=False)) for o in (stored_config(d), tiny_config(arch)))
    skip = {'_name_or_path','architectures','dtype','transformers_version','attention_window'} # of the last, one for each layer is stored
    assert {k:v for k,v in a.items() if k not in skip}=={k:v for k,v in b.items() if k in a and k not in skip}

refused = dict(attn_implementation='kernels-community/flash-attn2@main', _attn_implementation='eager', _attn_implementation_internal='a/b', experts_implementation='x', auto_map={'AutoModel':'evil.Model'},
               quantization_config={'quant_method':'awq'}, custom_pipelines={}, trust_remote_code=True, use_kernels=True, kernel_config={}, fusion_config={}, transformers_weights='adapter_model.bin',
               per_layer_config={'0':{}}, torch_dtype='float8', text_config={}, sub_configs={}, distributed_config={}, gguf_file='x', task_specific_params={}, return_dict=False, output_hidden_states=True,
               num_labels=9, pruned_heads={}, _name_or_path='/home/me', name_or_path='a/b', peft_config={}, base_model_name_or_path='a/b', **{'':1, 'a\nb':1, '\x1b[2J':1})

@pytest.mark.parametrize('key', refused)
def test_refused_keys(key):
    with pytest.raises(FolderError, match='has the key') as e: check_architecture({**of('bert'), key:refused[key]})
    assert str(e.value).isprintable() and key not in known_keys({**of('bert'), key:refused[key]})

bad_values = dict(hidden_act=['owner/kernel', 'a:b', '../x', 'http://x', 'x'*99, 3, None, [], {}], hidden_size=[None, '32', 32., True, [32], {}, 10**12, 2**24+1], layer_norm_eps=['0', True, float('inf'), float('nan'), 1e300, None],
                  num_hidden_layers=[-2**40, 2000, 1e9], is_decoder=[0, 'true', None, []], classifier_dropout=['.1', {}, [.1]], pad_token_id=['0', .5, {}, [.5], list(range(2000))], architectures=['Bert', [3], ['a/b'], {}],
                  dtype=['float8', 'int8', 'F32', 3, ['float32']], problem_type=['x', 3, 'clean'], transformers_version=[5, '/x'], tie_word_embeddings=['yes'], model_type=[None, 3, [], {}, 'no', 'BERT'])

@pytest.mark.parametrize('key,value', [(k,v) for k,vs in bad_values.items() for v in vs], ids=lambda o: str(o)[:20])
def test_bad_values(key, value):
    with pytest.raises(FolderError, match="'config.json'") as e: check_architecture({**of('bert'), key:value})
    assert len(str(e.value))<400

sizes = {'albert':dict(num_hidden_groups=64, inner_group_num=64), 'funnel':dict(block_sizes=[30,30,30]), 'distilbert':dict(sinusoidal_pos_embds=True, max_position_embeddings=2**20), 'longformer':dict(attention_window=[2**20]*2),
         'pegasus':dict(max_position_embeddings=2**22), 'bart':dict(encoder_layers=5000), 'gpt2':dict(n_layer=10**6), 'modernbert':dict(layer_types=['full_attention']*5000), 'llama':dict(rope_parameters={'a':{'b':{'c':1}}})}

@pytest.mark.parametrize('arch', sizes)
def test_sizes(arch):
    with pytest.raises(FolderError): check_architecture({**of(arch), **sizes[arch]})

# Writing

def model(**kw):
    from transformers import AutoModelForSequenceClassification
    return AutoModelForSequenceClassification.from_config(stored_config({**of('bert'), **kw}))

def test_more_keys_of_a_later_transformers():
    "They are left out, so that the folder can be read"
    m = model()
    m.config.brand_new_key = 'a/b'
    assert 'brand_new_key' not in architecture_of(m)
    m.config.output_attentions,m.config.return_dict = False,True
    check_architecture(architecture_of(m))

def test_lost_value(monkeypatch):
    "A key that matters, and that this list does not know yet"
    m = model()
    m.config.chunk_size_feed_forward = 7
    assert stored_config(architecture_of(m)).chunk_size_feed_forward==7
    line = architecture_lines()['bert'].replace('layer_norm_eps=num ', '')
    monkeypatch.setitem(architecture_lines(), 'bert', line)
    assert 'layer_norm_eps' not in architecture_of(m)
    m.config.layer_norm_eps = 0.5
    with pytest.raises(ValueError, match="has 'layer_norm_eps' = 0.5, which a detector folder cannot hold"): architecture_of(m)

def test_unknown_architecture():
    from transformers import AutoConfig,AutoModelForSequenceClassification
    config = AutoConfig.for_model('canine', hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_hash_buckets=64, num_hash_functions=4, architectures=[])
    with pytest.raises(ValueError, match="`model_type` is 'canine'"): architecture_of(AutoModelForSequenceClassification.from_config(config))

def test_command():
    res = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'tools.config_keys'], capture_output=True, text=True, cwd=config_keys.path.parent.parent)
    assert res.returncode==0 and res.stdout==config_keys.path.read_text(encoding='utf-8')

"""The keys that config.json of a detector folder may have: `python -m tools.config_keys [--write]`

They are read off the configuration classes of the installed transformers, with the types that stand there, and off the
modeling files, which ask for some keys that no class has (`getattr(config, 'norm_rel_ebd', ...)`). `--write` puts them
into toxicai/architectures.csv.
What is there already stays: a folder that an older transformers wrote is still read. `--bare` prints without it."""
import argparse,inspect,re,sys,types,typing
from dataclasses import fields
from importlib import import_module
from pathlib import Path

path = Path(__file__).resolve().parent.parent/'toxicai'/'architectures.csv'
architectures = """albert bart bert big_bird bigbird_pegasus biogpt bloom camembert convbert ctrl data2vec-text deberta deberta-v2
distilbert electra ernie eurobert falcon flaubert funnel gemma gemma2 gemma3_text glm gpt2 gpt_bigcode gpt_neo gpt_neox gptj helium
led llama longformer mbart megatron-bert mistral mobilebert modernbert modernbert-decoder mpnet mt5 mvp nemotron nomic_bert opt pegasus
persimmon phi phi3 plbart qwen2 qwen3 rembert roberta roberta-prelayernorm roformer smollm3 squeezebert stablelm starcoder2 t5 umt5 xlm
xlm-roberta xlm-roberta-xl xlnet xmod""".split()

# What no folder holds: where files are, what computes, what belongs to training, to generation or to other tasks
never = re.compile(r'^_|attn_impl|experts_impl|quant|kernel_config|auto_map|custom|fusion|path|file|weights|torchscript|torch_dtype|per_layer_config'
                   r'|task_specific|name_or_path|return_dict|output_|gradient_checkpointing|finetuning|num_labels|id2label|label2id|sub_config|commit')
plain = {int:['int'], float:['num'], bool:['bool'], str:['word'], type(None):['null']}
many = {int:'ints', float:'nums', bool:'bools', str:'words'}

def kinds_of(hint): # Kinds of `toxicai.architectures.value_kinds` that an annotation allows
    if hint in plain: return plain[hint]
    origin,args = typing.get_origin(hint),typing.get_args(hint)
    if origin in (typing.Union,types.UnionType): return sorted({k for o in args for k in kinds_of(o)})
    if origin is typing.Literal: return sorted({k for o in args for k in plain[type(o)]})
    if origin in (list,tuple) or hint in (list,tuple):
        inner = {o for o in args if o is not Ellipsis}
        return [many[o] for o in inner] if inner and inner<=set(many) else ['lists']
    return []

def class_keys(kind): # Key -> kinds
    import torch
    from transformers import AutoConfig
    cls = type(AutoConfig.for_model(kind))
    hints = typing.get_type_hints(cls, localns=dict(torch=torch))
    res = {}
    for o in fields(cls):
        hint = hints[o.name]
        is_rope = o.name.startswith('rope_') and 'dict' in str(hint).lower()
        kinds = ['rope','null'] if is_rope else kinds_of(hint)
        if kinds and not never.search(o.name): res[o.name] = sorted(set(kinds))
    return res,cls

def asked_keys(cls): # Keys that the modeling file asks for with `getattr(config, ...)`
    name = cls.__module__.replace('configuration_', 'modeling_')
    try: src = inspect.getsource(import_module(name))
    except ImportError: return {}
    found = re.findall(r"getattr\(\s*(?:self\.)?config,\s*[\"'](\w+)[\"']", src)
    return {o:['bool','int','null','num','word','words'] for o in found if not never.search(o)}

def table(shared=()): # Architecture -> key -> kinds; without what all have
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    res = {}
    for kind in architectures:
        if kind not in CONFIG_MAPPING: continue
        own,cls = class_keys(kind)
        if cls.sub_configs or getattr(cls, 'extra_files', ()):
            raise SystemExit(f'{kind} has networks within it: take it out of the list')
        res[kind] = {k:v for k,v in {**asked_keys(cls), **own}.items() if k not in shared}
    return res

def together(a, b): # Kinds of two tables of keys
    return {o:sorted({*a.get(o, ()), *b.get(o, ())}) for o in {**a, **b}}

def merged(old, new): # Both: kinds together
    return {k:together(old.get(k, {}), new.get(k, {})) for k in sorted({*old, *new})}

def as_text(d):
    line = lambda keys: ' '.join(o+'='+'|'.join(v) for o,v in sorted(keys.items()))
    return '\n'.join(['model_type,keys', *[f'{k},{line(keys)}' for k,keys in sorted(d.items())]])+'\n'

def from_text(text): # What `as_text` wrote
    lines = (o.split(',', 1) for o in text.splitlines()[1:])
    return {k:{a:b.split('|') for a,b in (o.split('=') for o in keys.split())} for k,keys in lines}

def main(args=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--write', action='store_true', help='into toxicai/architectures.csv')
    p.add_argument('--bare', action='store_true', help='without what stands there')
    opts = p.parse_args(args)
    from toxicai.architectures import shared_keys
    new = table(shared_keys)
    text = as_text(new if opts.bare or not path.exists() else merged(from_text(path.read_text(encoding='utf-8')), new))
    if opts.write: path.write_text(text, encoding='utf-8')
    else: sys.stdout.write(text)

if __name__=='__main__': main()

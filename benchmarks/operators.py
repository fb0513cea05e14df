"""The operators of ONNX that detectors need: what exports of every architecture hold, in fp32 and in int8, beside the
table of those that are accepted. Ends with status 1 when an export has one that is not accepted.

    python -m benchmarks.operators [--archs bert t5 ...]

The networks are tiny and random; what operators there are does not depend on size or weights.
"""
import sys,tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.common import *
from toxicai.all import *
from toxicai.data.loaders import text_tfm
from toxicai.serve.graph import read_network
from toxicai.serve.shapes import operators
from toxicai.test_utils import archs,comments,tiny_checkpoint
from toxicai.train.onnx import save_int8,save_onnx

own_head = [o for o in archs if o!='pegasus'] # transformers has a head of its own for these

def exports(
    arch:str, # A key of `archs`
    folder:Path, # Where to write
) -> dict: # 'fp32' and 'int8' -> file; empty where torch cannot export it
    "The network of a tiny `arch` in files"
    cols = dict(text_col='text', label_cols=['toxic','insult'])
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(arch), bs=8, **cols)
    pooling = 'own' if arch in own_head else 'mean'
    model,enc = toxicity_learner(dls, pooling=pooling).model.cpu().eval(),text_tfm(dls).encoder
    res = {k:folder/f'{arch}.{k}.onnx' for k in ('fp32','int8')}
    try:
        save_onnx(model, enc, res['fp32'])
        save_int8(res['fp32'], res['int8'])
    except ValueError as e: note({arch:str(e)[:300]}) # refused, perhaps after it was written
    return {k:o for k,o in res.items() if o.exists()}

def used_operators(
    path:Path, # An ONNX file
) -> dict: # Operator -> set of names of attributes
    "What stands in the graph of a file"
    res = defaultdict(set)
    for o in read_network(path.read_bytes())['graph'].get('node', []):
        name = '.'.join(filter(None, [o.get('domain', ''), o['op_type']]))
        res[name] |= {a['name'] for a in o.get('attribute', [])}
    return res

def by_operator(
    found:dict, # (architecture, precision) -> as `used_operators` gives it
) -> list: # Rows of a table
    "Each operator with its attributes, where it is from, and whether it is accepted"
    names = sorted({*operators, *[o for ops in found.values() for o in ops]})
    rows = []
    for o in names:
        where = [k for k,ops in found.items() if o in ops]
        attrs = set().union(*[found[k][o] for k in where])
        fits = o in operators and attrs<=operators[o][1]
        rows.append(dict(operator=o, attributes=' '.join(sorted(attrs)) or '-', accepted='yes' if fits else 'no',
                         networks=len(where), such_as=' '.join(where[0]) if where else 'none'))
    return rows

def run(names):
    "Print the table; True where an export has an operator that is not accepted"
    found = {}
    with tempfile.TemporaryDirectory() as d:
        for o in names: found.update({(o,k):used_operators(p) for k,p in exports(o, Path(d)).items()})
    rows = by_operator(found)
    show(rows, f'Operators in {len(found)} networks of {len({k for k,_ in found})} architectures')
    return any(r['accepted']=='no' for r in rows)

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('--archs', nargs='+', default=list(archs), choices=list(archs))
    args = p.parse_args()
    begin()
    sys.exit(run(args.archs))

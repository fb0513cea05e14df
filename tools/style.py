"""How the code reads, in figures: `python -m tools.style [ROOM...] [--list KIND]`; docs/style of the house is in CONTRIBUTING.md

Nothing here fails: the figures say where a second reading is needed. Functions are measured by the characters of their body, because
lines can be saved by making them wider."""
import argparse,ast,json,re
from collections import defaultdict
from pathlib import Path
from statistics import median

root = Path(__file__).resolve().parent.parent
kinds = dict(wide='code lines over 120 characters, outside tables and regular expressions', long='functions with over 300 characters of body',
             cells='exported cells over 25 lines', lessons='public definitions that no lesson uses', docs='public functions without a docstring',
             modules='modules over 300 lines', names='private names that mean different things in different rooms')

def modules(): # (name, path) of each module of the package
    found = [p for p in sorted((root/'toxicai').rglob('*.py')) if p.name not in ('_modidx.py','__init__.py','all.py')]
    return {'.'.join(p.relative_to(root/'toxicai').with_suffix('').parts):p for p in found}

def definitions(tree): return [o for o in tree.body if isinstance(o, (ast.FunctionDef,ast.ClassDef))]

def own_name(o): # `LabelSet.index` for a method that is patched on
    patched = isinstance(o, ast.FunctionDef) and any('patch' in ast.unparse(d) for d in o.decorator_list) and o.args.args
    return f'{ast.unparse(o.args.args[0].annotation)}.{o.name}' if patched and o.args.args[0].annotation else o.name

def table_lines(tree): # Numbers of the lines that hold a table: an assignment of a dict, list or string at the top, or a pattern
    nums = set()
    for o in tree.body:
        if not isinstance(o, (ast.Assign,ast.AnnAssign,ast.Expr)): continue
        pattern = re.search(r'\b(re|regex)\.compile\(', ast.unparse(o))
        if pattern or isinstance(o, ast.Assign): nums.update(range(o.lineno, o.end_lineno+1))
    return nums

def body_chars(o, lines): # Characters of a function's body, its docstring and indentation left out
    body = o.body[1:] if ast.get_docstring(o) else o.body
    return sum(len(l.strip()) for l in lines[body[0].lineno-1:body[-1].end_lineno]) if body else 0

def lessons(): # Code of the lessons and exported cells of each notebook, by module
    res = {}
    for p in sorted((root/'nbs').glob('[0-9]*.ipynb')):
        src = [''.join(c['source']) for c in json.loads(p.read_text(encoding='utf-8'))['cells'] if c['cell_type']=='code']
        name = next((m[1] for o in src if (m := re.search(r'^#\|\s*default_exp\s+(\S+)', o, flags=re.M))), None)
        exported = [bool(re.search(r'^#\|\s*export', o, flags=re.M)) for o in src]
        if name: res[name] = ([o for o,b in zip(src, exported) if not b], [o for o,b in zip(src, exported) if b])
    return res

def room(
    name, # Name of a module, such as `judge.bias`
    path, # Its file
    taught, # Its lessons and its exported cells
) -> dict: # Counts, and under each of `kinds` a list of (size, place)
    "What there is to count in one module"
    src = path.read_text(encoding='utf-8')
    lines,tree = src.splitlines(),ast.parse(src)
    code = [(i,l) for i,l in enumerate(lines, 1) if l.strip() and not l.strip().startswith('#')]
    tables,defs = table_lines(tree),definitions(tree)
    functions = [o for o in ast.walk(tree) if isinstance(o, ast.FunctionDef)]
    words = set(re.findall(r'\w+', '\n'.join(taught[0])))
    sizes = [(body_chars(o, lines), f'{path.relative_to(root)}:{o.lineno} {o.name}') for o in functions]
    public = [o for o in defs if not o.name.startswith('_')]
    res = dict(code=len(code), chars=sum(len(l) for _,l in code), very_wide=sum(len(l)>140 for _,l in code), sizes=[n for n,_ in sizes],
               public=len(public), private=len(defs)-len(public), private_names={o.name for o in defs if o.name.startswith('_') and own_name(o)==o.name})
    res['wide'] = [(len(l), f'{path.relative_to(root)}:{i}') for i,l in code if len(l)>120 and i not in tables]
    res['long'] = [o for o in sizes if o[0]>300]
    res['cells'] = [(n, f"{name} {o.strip().splitlines()[1][:60]!r}") for o in taught[1] if (n := len(o.strip().splitlines())-1)>25]
    res['lessons'] = [(0, f'{name} {own_name(o)}') for o in public if o.name not in words and not (o.name.startswith(('before_','after_')) and 'patch' in ast.unparse(o.decorator_list[0]))]
    res['docs'] = [(0, f'{name} {own_name(o)}') for o in public if isinstance(o, ast.FunctionDef) and not ast.get_docstring(o)]
    res['modules'] = [(len(lines), name)] if len(lines)>300 else []
    return res

def shared_names(rooms): # Private names with more than one home
    homes = defaultdict(list)
    for k,r in rooms.items():
        for o in r['private_names']: homes[o].append(k)
    return [(len(v), f"{k}: {', '.join(v)}") for k,v in homes.items() if len(v)>1]

def imports(name, path): # Modules of the package that it star-imports or imports, outside of functions
    here,found = ['toxicai',*name.split('.')],set()
    for o in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(o, ast.ImportFrom) and o.level: found.add('.'.join([*here[1:len(here)-o.level], *filter(None, [o.module])]))
    return found

def floors(graph): # On which floor each module stands: one above the highest that it imports; None in a circle
    at = {}
    while left := [k for k in graph if k not in at and all(o in at for o in graph[k])]:
        for k in left: at[k] = 1+max([at[o] for o in graph[k]], default=-1)
    return at

def report(names, listed=None):
    mods,taught = modules(),lessons()
    rooms = {k:room(k, p, taught.get(k, ([],[]))) for k,p in mods.items() if not names or any(k==o or k.startswith(f'{o}.') for o in names)}
    total = {k:sum((r[k] for r in rooms.values()), start=[] if k in kinds or k=='sizes' else 0) for k in next(iter(rooms.values())) if k!='private_names'}
    total['names'] = shared_names(rooms)
    if listed:
        for n,place in sorted(total[listed], reverse=True): print(f'{n or "":>6} {place}')
        return
    graph = {k:imports(k, p) & set(mods) for k,p in mods.items()}
    at = floors(graph)
    print(f"{len(rooms)} modules, {total['code']:,} code lines, {total['chars']:,} characters; {1+max(at.values())} floors, {len(graph)-len(at)} modules in circles")
    print(f"median function: {median(total['sizes']):.0f} characters of body; mean {sum(total['sizes'])/len(total['sizes']):.0f}")
    print(f"definitions: {total['public']} public, {total['private']} private: {total['private']/max(total['public'], 1):.2f} private to public")
    print(f"{total['very_wide']:5} code lines over 140 characters")
    for k,v in kinds.items(): print(f'{len(total[k]):5} {v} (--list {k})')

if __name__=='__main__':
    p = argparse.ArgumentParser(description='How the code reads, in figures')
    p.add_argument('rooms', nargs='*', help='wings or rooms, such as `judge` or `text.core`; all by default')
    p.add_argument('--list', choices=list(kinds), help='where they are, the largest first')
    args = p.parse_args()
    report(args.rooms, args.list)

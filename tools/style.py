"""How the code reads, in figures: `python -m tools.style [ROOM...] [--list KIND]`; the style of the house is in CONTRIBUTING.md

Nothing here fails: the figures say where a second reading is needed. Functions are measured by the characters of their
body, because lines can be saved by making them wider. Files that a program writes are left out."""
import argparse,ast,json,re
from collections import defaultdict
from pathlib import Path
from statistics import median

root = Path(__file__).resolve().parent.parent
kinds = dict(wide='code lines over 120 characters, outside tables and regular expressions',
             long='functions with over 300 characters of body',
             cells='exported cells over 25 lines',
             lessons='public definitions that no lesson uses',
             docs='public functions without a docstring',
             modules='modules over 300 lines',
             names='private names that mean different things in different rooms')
not_read = ('_modidx.py','_help.py','__init__.py','all.py') # Written by a program, or lists of names

def modules(): # Name -> path of each module of the package
    found = [p for p in sorted((root/'toxicai').rglob('*.py')) if p.name not in not_read]
    return {'.'.join(p.relative_to(root/'toxicai').with_suffix('').parts):p for p in found}

def definitions(tree): return [o for o in tree.body if isinstance(o, (ast.FunctionDef,ast.ClassDef))]

def is_patch(o): # Is `o` a method that is patched onto a class?
    return isinstance(o, ast.FunctionDef) and any('patch' in ast.unparse(d) for d in o.decorator_list)

def own_name(o): # `LabelSet.index` for a method that is patched on
    first = o.args.args[:1] if is_patch(o) else []
    return f'{ast.unparse(first[0].annotation)}.{o.name}' if first and first[0].annotation else o.name

def is_table(o): # Does a statement at the top hold a table, or a pattern?
    if isinstance(o, (ast.Assign,ast.AugAssign)): return True
    return isinstance(o, (ast.AnnAssign,ast.Expr)) and bool(re.search(r'\b(re|regex)\.compile\(', ast.unparse(o)))

def table_lines(tree): # Numbers of the lines that hold a table
    return {i for o in tree.body if is_table(o) for i in range(o.lineno, o.end_lineno+1)}

def body_chars(o, lines): # Characters of a function's body, its docstring and indentation left out
    body = o.body[1:] if ast.get_docstring(o) else o.body
    return sum(len(l.strip()) for l in lines[body[0].lineno-1:body[-1].end_lineno]) if body else 0

def code_cells(path): # Code of a notebook, cell by cell
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    return [''.join(c['source']) for c in cells if c['cell_type']=='code']

def lessons(): # Module -> its lessons, and its exported cells
    res = {}
    for p in sorted((root/'nbs').glob('[0-9]*.ipynb')):
        src = code_cells(p)
        name = next((m[1] for o in src if (m := re.search(r'^#\|\s*default_exp\s+(\S+)', o, flags=re.M))), None)
        exported = [bool(re.search(r'^#\|\s*export', o, flags=re.M)) for o in src]
        if name: res[name] = ([o for o,b in zip(src, exported) if not b], [o for o,b in zip(src, exported) if b])
    return res

def is_hook(o): # Is `o` a patched method that fastai calls?
    return is_patch(o) and o.name.startswith(('before_','after_'))

def untold(
    name, # Of the module
    public, # Its public definitions
    taught, # Its lessons
    exported, # Its exported cells
) -> dict: # Under three of `kinds` a list of (size, place)
    "What a reader of the notebook misses"
    words = set(re.findall(r'\w+', '\n'.join(taught)))
    cells = [o.strip().splitlines()[1:] for o in exported] # without the directive
    untaught = [o for o in public if o.name not in words and not is_hook(o)]
    unsaid = [o for o in public if isinstance(o, ast.FunctionDef) and not ast.get_docstring(o)]
    return dict(cells=[(len(o), f'{name} {o[0][:60]!r}') for o in cells if len(o)>25],
                lessons=[(0, f'{name} {own_name(o)}') for o in untaught],
                docs=[(0, f'{name} {own_name(o)}') for o in unsaid])

def room(
    name, # Name of a module, such as `judge.bias`
    path, # Its file
    taught, # Its lessons and its exported cells
) -> dict: # Counts, and under each of `kinds` a list of (size, place)
    "What there is to count in one module"
    src,place = path.read_text(encoding='utf-8'),path.relative_to(root)
    lines,tree = src.splitlines(),ast.parse(src)
    code = [(i,l) for i,l in enumerate(lines, 1) if l.strip() and not l.strip().startswith('#')]
    functions = [o for o in ast.walk(tree) if isinstance(o, ast.FunctionDef)]
    sizes = [(body_chars(o, lines), f'{place}:{o.lineno} {o.name}') for o in functions]
    public,private = [[o for o in definitions(tree) if o.name.startswith('_')==b] for b in (False,True)]
    tables = table_lines(tree)
    return dict(
        code=len(code), chars=sum(len(l) for _,l in code), very_wide=sum(len(l)>140 for _,l in code),
        sizes=[n for n,_ in sizes], public=len(public), private=len(private),
        private_names={o.name for o in private if own_name(o)==o.name},
        wide=[(len(l), f'{place}:{i}') for i,l in code if len(l)>120 and i not in tables],
        long=[o for o in sizes if o[0]>300],
        modules=[(len(lines), name)] if len(lines)>300 else [],
        **untold(name, public, *taught))

def shared_names(rooms): # Private names with more than one home
    homes = defaultdict(list)
    for k,r in rooms.items():
        for o in r['private_names']: homes[o].append(k)
    return [(len(v), f"{k}: {', '.join(v)}") for k,v in homes.items() if len(v)>1]

def imports(name, path): # Modules of the package that it star-imports or imports, outside of functions
    here,found = ['toxicai',*name.split('.')],set()
    for o in ast.parse(path.read_text(encoding='utf-8')).body:
        if not isinstance(o, ast.ImportFrom) or not o.level: continue
        found.add('.'.join([*here[1:len(here)-o.level], *filter(None, [o.module])]))
    return found

def floors(graph): # On which floor each module stands: one above the highest that it imports; None in a circle
    at = {}
    while left := [k for k in graph if k not in at and all(o in at for o in graph[k])]:
        for k in left: at[k] = 1+max([at[o] for o in graph[k]], default=-1)
    return at

def is_asked(name, asked): # Is the module one of the rooms, or in one of the wings, that were asked for?
    return not asked or any(name==o or name.startswith(f'{o}.') for o in asked)

def summed(rooms): # What the rooms have together
    first = next(iter(rooms.values()))
    res = {k:sum((r[k] for r in rooms.values()), start=type(v)()) for k,v in first.items() if k!='private_names'}
    return {**res, 'names':shared_names(rooms)}

def report(names, listed=None):
    mods,taught = modules(),lessons()
    rooms = {k:room(k, p, taught.get(k, ([],[]))) for k,p in mods.items() if is_asked(k, names)}
    total = summed(rooms)
    if listed:
        for n,place in sorted(total[listed], reverse=True): print(f'{n or "":>6} {place}')
        return
    graph = {k:imports(k, p) & set(mods) for k,p in mods.items()}
    at,sizes = floors(graph),total['sizes']
    ratio = total['private']/max(total['public'], 1)
    print(f"{len(rooms)} modules, {total['code']:,} code lines, {total['chars']:,} characters; "
          f"{1+max(at.values())} floors, {len(graph)-len(at)} modules in circles")
    print(f"median function: {median(sizes):.0f} characters of body; mean {sum(sizes)/len(sizes):.0f}")
    print(f"definitions: {total['public']} public, {total['private']} private: {ratio:.2f} private to public")
    print(f"{total['very_wide']:5} code lines over 140 characters")
    for k,v in kinds.items(): print(f'{len(total[k]):5} {v} (--list {k})')

if __name__=='__main__':
    p = argparse.ArgumentParser(description='How the code reads, in figures')
    p.add_argument('rooms', nargs='*', help='wings or rooms, such as `judge` or `text.core`; all by default')
    p.add_argument('--list', choices=list(kinds), help='where they are, the largest first')
    args = p.parse_args()
    report(args.rooms, args.list)

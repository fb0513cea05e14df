"""What `help`, `?f` and shift-tab say of arguments: `python -m tools.help [--check] [--list]`

The comments beside arguments (docments) are read off the sources, those of a delegate for what `@delegates` passes on,
and written to toxicai/_help.py, from which each `all` puts them behind the docstrings. `--check` writes nothing and
exits with 1 where the file is stale; `--list` prints whose help explains every argument, and exits with 1 where one
does not."""
import argparse,ast,importlib,inspect,io,pkgutil,re,sys,textwrap,tokenize,warnings
from dataclasses import is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

path = Path(__file__).resolve().parent.parent/'toxicai'/'_help.py'
others = ('fastai','torch','wandb') # whose words may change with their version
width = 92

# What other libraries leave unsaid of arguments that reach them
unsaid = dict(
    lr_max='Highest learning rate; that of the learner by default',
    lr='Learning rate; that of the learner by default',
    div_final='The last rate is the highest over `div_final`',
    wd='Weight decay; that of the learner by default',
    moms='First momentum at the start, at the top and at the end of the schedule',
    cbs='Callbacks for this call alone', reset_opt='Begin with a new optimizer?',
    start_epoch='Epochs that are skipped, for a fit that goes on', stop_div='Stop when the loss diverges?',
    show_plot='Plot losses against rates?', suggest_funcs='Functions that suggest rates; None for none',
    rm_type_tfms='Transforms of the types to leave out', with_input='Give the inputs as well?',
    with_opt='With the state of the optimizer?', strict='Raise where names of weights differ?',
    beta='Weight of the pass without changes; see fastai', use_max='Take the maximum instead of a mean?',
    pickle_module='What writes the pickle', pickle_protocol='Protocol of pickle', vocab='Class names in order',
    sort='Sort the classes?', add_na='A class for missing values?', verbose='Say what happens?',
    do_setup='Set the transforms up?', after_item='Transform of each item',
    after_batch='Transform of each batch', before_batch='Transform of the items of a batch',
    shuffle='In an order drawn at random?', drop_last='Leave out a last batch that is not full?',
    pin_memory='Keep batches in pinned memory?', timeout='Seconds that a process may take',
    indexed='Has the data set item numbers?', n='Items of a pass; all by default', device='Where batches go',
    persistent_workers='Keep processes between passes?', batch_size='Another name of `bs`',
    bs='Items of a batch', num_workers='Processes that load',
    wif='Function that runs at the start of each process', before_iter='Function that runs before each pass',
    after_iter='Function that runs after each pass', item_tfms='Transforms of each item',
    batch_tfms='Transforms of each batch', betas='Decay of the two running means',
    eps='Added to the denominator', weight_decay='Weight decay', amsgrad='The AMSGrad variant?',
    maximize='Go uphill?', foreach='All tensors in one call?', capturable='For CUDA graphs?',
    differentiable='Differentiate through the step?',
    fused='One kernel for a step; where the device has it by default', init_scale='First factor of the loss',
    growth_factor='What the factor is multiplied with', backoff_factor='The same after an overflow',
    growth_interval='Steps without overflow before it grows',
    pin_memory_device='Device for which they are pinned', file='Name in the folder of models, or a path',
    n_epoch='Epochs, old ones included where a fit goes on', i='Number of the batch', b='A batch',
    cb='A callback, or its class', learn='The learner', x='Inputs of a batch', y='Targets of a batch',
    samples='Decoded items', outs='Decoded predictions', ctxs='Where to show them', ctx='Where to show it',
    dl='A loader; that of `ds_idx` by default', ds_idx='0 for training rows, 1 for validation rows')

unsaid |= {o:f'Function in the place of the method `{o}`' for o in
           'create_batches create_item create_batch retain get_idxs sample shuffle_fn do_batch'.split()}

def rooms(): # Names of the modules, in the order of import
    import toxicai
    names = [o.name for o in pkgutil.walk_packages(toxicai.__path__, 'toxicai.')]
    return sorted(o for o in names if o.split('.')[-1] not in ('all','_modidx','_help'))

def is_ours(o): return (getattr(o, '__module__', None) or '').split('.')[0]=='toxicai'

def bare(o): # The function of a method
    return getattr(o, '__func__', o)

def methods(cls): # Name and function of what users may call
    named = {k:bare(getattr(cls, k)) for k in vars(cls) if not k.startswith('_') or k=='__call__'}
    return {k:f for k,f in named.items() if inspect.isroutine(f) and is_ours(f)}

def public(): # Module, path within it, object; each object once
    seen = set()
    found = [importlib.import_module(o) for o in rooms()] # all of them first: some add methods to classes of others
    for module in found:
        for name in getattr(module, '__all__', ()):
            o = getattr(module, name)
            if not (inspect.isclass(o) or inspect.isroutine(o)) or not is_ours(o): continue
            inner = {f'{name}.{k}':f for k,f in methods(o).items()} if inspect.isclass(o) else {}
            for place,f in {name:o, **inner}.items():
                if id(f) not in seen: yield f.__module__,place,f
                seen.add(id(f))

@cache
def parsed(o): # Syntax tree of a function or class, and comment by line
    try: src = textwrap.dedent(inspect.getsource(o))
    except (OSError,TypeError): return None,{}
    tokens = tokenize.generate_tokens(io.StringIO(src).readline)
    notes = {t.start[0]:t.string.lstrip('#').strip() for t in tokens if t.type==tokenize.COMMENT}
    try: return ast.parse(src).body[0],notes
    except SyntaxError: return None,{}

def all_args(tree): # Arguments of a function, in their order
    a = tree.args
    return [o for o in (*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg) if o is not None]

def lines(tree): # Line -> name of the last argument, or field, that begins there
    if isinstance(tree, ast.ClassDef): return {o.lineno:o.target.id for o in tree.body if isinstance(o, ast.AnnAssign)}
    if not isinstance(tree, (ast.FunctionDef,ast.AsyncFunctionDef)): return {}
    res = {o.lineno:o.arg for o in all_args(tree)}
    if tree.returns: res[tree.returns.end_lineno] = 'return'
    elif tree.body[0].lineno>tree.lineno: res.setdefault(returned_at(tree), 'return')
    return res

def returned_at(tree): # Line of `):`, or of the `def` where all is in one line
    last = max((o.end_lineno for o in [*all_args(tree), *tree.args.defaults]), default=tree.lineno)
    return last if last==tree.lineno or tree.body[0].lineno==last+1 else tree.body[0].lineno-1

def own_comments(o): # Argument -> comment, as they stand beside `o`
    tree,notes = parsed(o)
    return {name:notes[i] for i,name in lines(tree).items() if notes.get(i)}

def targets(o): # Functions that `@delegates` names for `o`
    tree,_ = parsed(o)
    calls = [c for c in getattr(tree, 'decorator_list', ()) if isinstance(c, ast.Call)]
    calls = [c for c in calls if getattr(c.func, 'id', '')=='delegates']
    scope = vars(sys.modules[o.__module__]) if calls else {}
    return [bare(eval(ast.unparse(c.args[0]), scope)) if c.args else o.__base__ for c in calls]

def maker(cls): # What says the arguments of a class; None where another library does
    if is_dataclass(cls) or hasattr(cls, '_fields'): return cls
    return next((vars(o)['__init__'] for o in cls.__mro__ if '__init__' in vars(o) and is_ours(o)), None)

def comments(o): # Argument -> comment, the delegates' too
    sources = [maker(o), o] if inspect.isclass(o) else [o]
    res = {}
    for f in filter(None, sources):
        for part in (own_comments(f), *map(comments, targets(f))): res = {**part, **res}
    return res

def replaced(place, o): # Methods of base classes that `o` stands for, the nearest first
    cls = sys.modules[o.__module__].__dict__.get(place.split('.')[0])
    if '.' not in place or not inspect.isclass(cls): return []
    return [bare(f) for f in (vars(c).get(o.__name__) for c in cls.__mro__[1:]) if inspect.isfunction(bare(f))]

def sources(place, o): # What may explain an argument of `o`: delegates, theirs in turn, and methods that it replaces
    made = maker(o) if inspect.isclass(o) else None
    first = [*targets(o), *([] if made in (None, o) else targets(made)), *replaced(place, o)]
    return [*first, *(s for f in first for s in sources('', f))]

def parameters(o): # Names
    try: return set(inspect.signature(o).parameters)
    except (ValueError,TypeError): return set()

def arguments(o): # Parameters of `o` that a caller passes
    f = o
    if inspect.isclass(o) and maker(o) is None: return []
    try: ps = list(inspect.signature(f).parameters.values())
    except (ValueError,TypeError): return []
    return [p for i,p in enumerate(ps) if p.name not in ('self','cls') or i]

def typed(note): # How an annotation reads
    if note is inspect.Parameter.empty or note is None: return ''
    return re.sub(r'\b(?:[A-Za-z_]\w*\.)+(?=\w)', '', note if isinstance(note, str) else inspect.formatannotation(note))

def shown_default(p): # How a default reads; '' for none, and for what is long or has an address
    if p.default is inspect.Parameter.empty or p.default is None: return ''
    text = getattr(p.default, '__name__', None) or repr(p.default)
    return f'default {text}' if len(text)<=30 and ' at 0x' not in text and '\n' not in text else ''

def entry(head, text): # A line of the help, folded
    line = f'{head}: {text}' if head and text else head or text
    return textwrap.fill(line, width, initial_indent='    ', subsequent_indent='        ', break_on_hyphens=False,
                         break_long_words=False)

def returned(o): # Annotation of what `o` gives
    try: note = inspect.signature(o).return_annotation
    except (ValueError,TypeError): return None
    return None if note is inspect.Signature.empty else note

def named(p): return {p.VAR_POSITIONAL:'*', p.VAR_KEYWORD:'**'}.get(p.kind, '')+p.name

def explained(place, o): # Pairs of a parameter and its comment, or None
    found = sources(place, o)
    told = [{k:v for k,v in comments(f).items() if k!='return'} for f in found]
    left = {k:unsaid[k] for f in found if not is_ours(f) for k in parameters(f) if k in unsaid}
    said = {k:v for d in (left, *reversed(told), comments(o)) for k,v in d.items()}
    return [(p, said.get(p.name)) for p in arguments(o)]

def help_text(place, o): # What stands behind the docstring; '' for nothing
    args = []
    for p,text in explained(place, o):
        facts = ', '.join(filter(None, [typed(p.annotation), shown_default(p)]))
        args.append(entry(named(p)+(f' ({facts})' if facts else ''), text or ''))
    res = ['Args:', *args] if args else []
    gives = '' if inspect.isclass(o) else entry(typed(returned(o)), comments(o).get('return', ''))
    if gives.strip(): res += [*([''] if res else []), 'Returns:', gives]
    if res and not o.__doc__ and inspect.getdoc(o): res = [inspect.getdoc(o), '', *res] # of the method that it replaces
    return '\n'.join(res)

def is_shared(place, o): # Does another library say, or leave unsaid, some of it?
    return any(not is_ours(f) for f in sources(place, o))

def table(): # Module -> path -> text
    res = {}
    for module,place,o in public():
        scope,*rest = place.split('.')
        if not hasattr(sys.modules[module], scope):
            raise SystemExit(f'{module} does not see {scope}, to which it adds {place}')
        text = help_text(place, o)
        if text: res.setdefault(module, {})[place] = text
    return {k:dict(sorted(v.items())) for k,v in sorted(res.items())}

def source(d): # The file
    head = '"What arguments are, for `help`: `python -m tools.help` writes it from the comments beside them"\n\n'
    made = ', '.join(f'{o} {version(o)}' for o in others)
    rows = [f' {k!r}: {{\n'+''.join(f'  {p!r}: {t!r},\n' for p,t in v.items())+' },\n' for k,v in d.items()]
    return f'{head}made_with = {made!r}\n\nd = {{\n{"".join(rows)}}}\n'

def read(): # `made_with` and `d` of the file that is there
    scope = {}
    if path.exists(): exec(path.read_text(encoding='utf-8'), scope)
    return scope.get('made_with', ''),scope.get('d', {})

def stale(): # Paths whose text is not what the sources give
    made,old = read()
    new = table()
    same = made==', '.join(f'{o} {version(o)}' for o in others)
    objects = {(m,p):o for m,p,o in public()}
    keys = sorted({(m,p) for d in (old,new) for m in d for p in d[m]})
    odd = [k for k in keys if old.get(k[0], {}).get(k[1])!=new.get(k[0], {}).get(k[1])]
    return [f'{m}.{p}' for m,p in odd if same or (m,p) not in objects or not is_shared(p, objects[m,p])]

def gaps(o): # Arguments that the help of `o` does not explain, as a user would see it
    doc = inspect.getdoc(o) or ''
    def _is_told(p): return re.search(rf'^    {re.escape(named(p))}( \(.*?\))?: \S', doc, flags=re.M|re.S)
    return [p.name for p in arguments(o) if not _is_told(p)]

def report(): # Whose help explains every argument, and whose does not
    for room in [*rooms(), 'toxicai.all']: importlib.import_module(room)
    importlib.import_module('toxicai.helptexts').put_help()
    found = [(f'{m}.{p}', gaps(o), len(arguments(o))) for m,p,o in public()]
    whole = [o for o,odd,n in found if not odd]
    for o in whole: print(o)
    odd = [(o,names) for o,names,_ in found if names]
    for o,names in odd: print(f'{o} leaves out {", ".join(names)}')
    print(f'{len(whole)} of {len(found)} explain every argument; {sum(n for *_,n in found)} arguments')
    return int(bool(odd))

def main(args=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--check', action='store_true', help='write nothing; exit 1 where the file is stale')
    p.add_argument('--list', action='store_true', help='print whose help explains every argument')
    opts = p.parse_args(args)
    with warnings.catch_warnings(action='ignore'):
        if opts.list: return report()
        if not opts.check: return not path.write_text(source(table()), encoding='utf-8')
        odd = stale()
    for o in odd: print(o)
    if odd: print('toxicai/_help.py is not what the comments give: run `python -m tools.help`')
    return int(bool(odd))

if __name__=='__main__': sys.exit(main())

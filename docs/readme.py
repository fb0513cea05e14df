"Make README.md from nbs/index.ipynb; with `--check`, exit 1 and show the difference if README.md is not what it gives"
import difflib,re,sys
from pathlib import Path
from posixpath import normpath
from fastcore.nbio import read_nb

root = Path(__file__).resolve().parent.parent
nb_path,readme_path = root/'nbs/index.ipynb',root/'README.md'

def split_directives(
    src:str, # Source of a cell
) -> tuple[set[str],str]: # Directives such as `hide` or `echo: false`, and the source without their lines
    "Part the leading `#|` lines of `src` from the rest"
    lines = src.splitlines()
    n = next((i for i,o in enumerate(lines) if o.strip() and not o.startswith('#|')), len(lines))
    dirs = {re.sub(r'\s*:\s*', ': ', o[2:].strip()) for o in lines[:n] if o.startswith('#|')}
    return dirs,'\n'.join(lines[n:]).strip()

def from_root(
    md:str, # Markdown whose relative links start in nbs/
) -> str: # The same with links that start in the root
    "Rewrite links and images that lead to a file"
    def _fix(m):
        path,anchor = re.fullmatch(r'([^#]*)(.*)', m[2]).groups()
        found = path and not path.startswith('/') and (nb_path.parent/path).exists()
        return m[1] + (normpath(f'nbs/{path}') + anchor if found else m[2]) + m[3]
    return re.sub(r'(\]\(|(?:src|href)=")([^)"\s]+)(\)|")', _fix, md)

def output_text(
    out:dict, # An output stored in the notebook
) -> str: # Markdown as it is, other text in a fence; empty for standard error
    "What `out` says, in Markdown"
    if out['output_type']=='error': raise ValueError(f"{nb_path.name} stores an error: {out['evalue']}")
    if out.get('name')=='stderr': return ''
    data = out.get('data', {'text/plain': out.get('text', '')})
    if any(o.startswith('image/') for o in data):
        raise ValueError(f"{nb_path.name} stores an image as output: save it in a file and refer to it in a markdown cell")
    if 'text/markdown' in data: return from_root(''.join(data['text/markdown']).strip())
    txt = re.sub(r'\x1b\[[\d;]*m', '', ''.join(data.get('text/plain', ''))).rstrip()
    return f'```text\n{txt}\n```' if txt else ''

def cell_md(
    cell, # A cell of the notebook
) -> list[str]: # Blocks of Markdown
    "What `cell` adds to the README"
    dirs,src = split_directives(cell.source)
    if dirs & {'hide', 'include: false'} or cell.cell_type=='raw': return []
    if cell.cell_type=='markdown': return [from_root(src)]
    code = [] if 'echo: false' in dirs or not src else [f'```python\n{src}\n```']
    return code + ([] if 'output: false' in dirs else [output_text(o) for o in cell.outputs])

def readme() -> str: # Text of README.md
    "README.md as nbs/index.ipynb gives it"
    blocks = [o for c in read_nb(nb_path).cells for o in cell_md(c)]
    return '\n\n'.join(o for o in blocks if o) + '\n'

def main(
    check:bool, # Compare, write nothing
) -> int: # Exit status
    "Write README.md, or say how it differs"
    new = readme()
    if not check: return not readme_path.write_text(new, encoding='utf-8')
    old = readme_path.read_text(encoding='utf-8')
    sys.stdout.writelines(difflib.unified_diff(*[o.splitlines(True) for o in (old,new)], 'README.md', 'nbs/index.ipynb'))
    if old!=new: print('README.md is not what nbs/index.ipynb gives: run `make readme`')
    return int(old!=new)

if __name__=='__main__': sys.exit(main('--check' in sys.argv[1:]))

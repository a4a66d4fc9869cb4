//! Functions of conditions: which there are, what they take, and our own ones.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelString, DYN_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};

use super::super::address::{Block, within};
use super::super::glob::Glob;
use super::super::path::{Directory, Where, locate};
use super::super::pattern::Pattern;
use super::super::tri::Tri;
use super::super::url::host_of;
use super::shape::Shape;

/// A function a condition may call.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// `f(x, ..)`.
    pub(super) global: bool,
    /// `x.f(..)`.
    pub(super) member: bool,
    /// What it is called on or given first.
    pub(super) first: &'static [Shape],
    pub(super) rest: Rest,
    pub(super) result: Shape,
    /// How to call it.
    pub(super) usage: &'static str,
}

/// What a function takes besides its first argument.
#[derive(Clone, Copy)]
pub(super) enum Rest {
    Nothing,
    /// One text.
    Text,
    /// A text in quotes, compiled at load.
    Literal(fn(&[&str]) -> Result<Constant, String>),
    /// One or more of them.
    Literals(fn(&[&str]) -> Result<Constant, String>),
}

const fn standard(name: &'static str, first: &'static [Shape], result: Shape, usage: &'static str) -> Function {
    Function { name, global: true, member: false, first, rest: Rest::Nothing, result, usage }
}

const fn of_text(name: &'static str, usage: &'static str) -> Function {
    Function { name, global: false, member: true, first: TEXT, rest: Rest::Text, result: Shape::Bool, usage }
}

const fn ours(name: &'static str, rest: Rest, result: Shape, usage: &'static str) -> Function {
    Function { name, global: true, member: true, first: TEXT, rest, result, usage }
}

const TEXT: &[Shape] = &[Shape::Text];
const SCALARS: &[Shape] = &[Shape::Int, Shape::Uint, Shape::Double, Shape::Text];

/// Every function.
pub(super) const FUNCTIONS: &[Function] = &[
    Function { member: true, ..standard("size", &[Shape::Text, Shape::List, Shape::Map], Shape::Int, "size(text, list or map)") },
    standard("int", SCALARS, Shape::Int, "int(x)"),
    standard("uint", SCALARS, Shape::Uint, "uint(x)"),
    standard("double", SCALARS, Shape::Double, "double(x)"),
    standard("string", &[Shape::Bool, Shape::Int, Shape::Uint, Shape::Double, Shape::Text], Shape::Text, "string(x)"),
    of_text("contains", "text.contains(text)"),
    of_text("startsWith", "text.startsWith(text)"),
    of_text("endsWith", "text.endsWith(text)"),
    ours("matches", Rest::Literal(compile_regex), Shape::Bool, "matches(text, \"regex\")"),
    ours("glob", Rest::Literal(compile_glob), Shape::Bool, "glob(text, \"pattern*\")"),
    ours("path_under", Rest::Literals(compile_directories), Shape::Bool, "path_under(text, \"/dir\", ..)"),
    ours("cidr", Rest::Literal(compile_network), Shape::Bool, "cidr(text, \"10.0.0.0/8\")"),
    ours("url_host", Rest::Nothing, Shape::Text, "url_host(text)"),
    ours("lower", Rest::Nothing, Shape::Text, "lower(text)"),
];

/// Functions over the items of a list, spelled `list.all(x, test)`.
pub(super) const MACROS: &[&str] = &["has", "all", "exists", "exists_one", "map", "filter"];

/// Something compiled at load that a function is given.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Pattern(Arc<Pattern>),
    Glob(Arc<Glob>),
    Directories(Arc<[Directory]>),
    Block(Arc<[Block]>),
}

static CONSTANT: Type = Type::new_unspecified_type("constant");

impl Val for Constant {
    fn get_type(&self) -> &Type {
        &CONSTANT
    }

    fn cel_type() -> &'static Type {
        &CONSTANT
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Constant {}

fn compile_regex(literals: &[&str]) -> Result<Constant, String> {
    let [pattern] = literals else { return Err("one pattern".to_owned()) };
    Pattern::parse(pattern).map(|pattern| Constant::Pattern(Arc::new(pattern)))
}

fn compile_glob(literals: &[&str]) -> Result<Constant, String> {
    let [pattern] = literals else { return Err("one pattern".to_owned()) };
    Glob::parse(pattern).map(|glob| Constant::Glob(Arc::new(glob))).map_err(str::to_owned)
}

fn compile_directories(literals: &[&str]) -> Result<Constant, String> {
    let directories: Result<Vec<_>, _> = literals.iter().map(|text| Directory::parse(text)).collect();
    Ok(Constant::Directories(directories?.into()))
}

fn compile_network(literals: &[&str]) -> Result<Constant, String> {
    let [range] = literals else { return Err("one range".to_owned()) };
    Ok(Constant::Block([Block::parse(range)?].into()))
}

/// The environment of every evaluation; `None` would mean that the crate refuses our functions.
pub(super) fn env() -> Option<Arc<Env>> {
    static ENV: LazyLock<Option<Arc<Env>>> = LazyLock::new(|| build().map(Arc::new));
    ENV.clone()
}

fn build() -> Option<Env> {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    for (name, id) in [("matches", "our_matches"), ("glob", "our_glob"), ("path_under", "our_path_under"), ("cidr", "our_cidr")] {
        env.add_overload(name, id, vec![STRING_TYPE, DYN_TYPE], judge).ok()?;
    }
    env.add_overload("url_host", "our_url_host", vec![STRING_TYPE], url_host).ok()?;
    env.add_overload("lower", "our_lower", vec![STRING_TYPE], lower).ok()?;
    Some(env)
}

type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

fn failed(message: &str) -> ExecutionError {
    ExecutionError::function_error("", message)
}

fn text<'a>(args: &'a Args<'_, '_>) -> Result<&'a str, ExecutionError> {
    let text = args.first().and_then(|value| value.downcast_ref::<CelString<'_>>());
    text.map(CelString::inner).ok_or_else(|| failed("not a text"))
}

/// Holds a text against something compiled. What it is follows from the constant, which the function's name chose at load.
fn judge<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let text = text(&args)?;
    let constant = args.get(1).and_then(|value| value.downcast_ref::<Constant>());
    let truth = match constant.ok_or_else(|| failed("not compiled"))? {
        Constant::Pattern(pattern) => match pattern.finds(text) {
            Tri::True => true,
            Tri::False => false,
            Tri::Unknown => return Err(failed("a text too long for the expression")),
        },
        Constant::Glob(glob) => glob.matches(text),
        Constant::Directories(directories) => match locate(directories, text) {
            Where::Under => true,
            Where::Outside => false,
            // Neither answer would be safe under a `!`.
            Where::Hostile => return Err(failed("a path that readers disagree about")),
        },
        Constant::Block(block) => match within(block, text) {
            Tri::True => true,
            Tri::False => false,
            Tri::Unknown => return Err(failed("an address in a notation that readers disagree about")),
        },
    };
    Ok(CowVal::owned(CelBool::from(truth)))
}

fn url_host<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let host = host_of(text(&args)?).ok_or_else(|| failed("no URL with a host, or one that readers disagree about"))?;
    Ok(CowVal::owned(CelString::from(host)))
}

fn lower<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    Ok(CowVal::owned(CelString::from(text(&args)?.to_lowercase())))
}

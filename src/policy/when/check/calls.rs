//! Checks of operators and functions.

use cel::IdedExpr;
use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, LiteralValue};

use super::super::functions::{Constant, FUNCTIONS, Function, MACROS, Rest};
use super::super::roots::ROOTS;
use super::super::shape::Shape;
use super::{ACCUMULATOR, Checker, did_you_mean};
use crate::policy::report::nearest;

impl Checker<'_> {
    pub(super) fn call(&mut self, id: u64, call: &mut CallExpr) -> Shape {
        if call.target.is_none() {
            match (call.func_name.as_str(), call.args.as_mut_slice()) {
                (op::LOGICAL_AND | op::LOGICAL_OR, [left, right]) => {
                    let synthetic = matches!(&left.expr, Expr::Ident(name) if name == ACCUMULATOR);
                    self.truth(left, "`&&` and `||` join");
                    self.truth(right, if synthetic { "the test of `all` and `exists` is" } else { "`&&` and `||` join" });
                    return Shape::Bool;
                }
                (op::LOGICAL_NOT, [operand]) => {
                    self.truth(operand, "`!` turns");
                    return Shape::Bool;
                }
                (op::CONDITIONAL, [test, yes, no]) => {
                    self.truth(test, "what stands before `?` is");
                    let (yes, no) = (self.visit(yes), self.visit(no));
                    return yes.or(no);
                }
                (op::NEGATE, [operand]) => {
                    let shape = self.visit(operand);
                    if shape != Shape::Any && (!shape.is_number() || shape == Shape::Uint) {
                        return self.flaw(id, "-", format!("`-` takes a number, not {}", shape.noun()), "");
                    }
                    return shape;
                }
                (op::INDEX, [operand, index]) => return self.index(id, operand, index),
                (name, [left, right]) if sign(name).is_some() => {
                    return self.binary(id, sign(name).unwrap_or_default(), left, right);
                }
                _ => {}
            }
        }
        self.function(id, call)
    }

    /// Something that must be true or false.
    fn truth(&mut self, expr: &mut IdedExpr, what: &str) {
        let id = expr.id;
        let shape = self.visit(expr);
        if !shape.can_be(Shape::Bool) {
            self.flaw(id, "", format!("{what} true or false, not {}", shape.noun()), "compare it with something");
        }
    }

    fn index(&mut self, id: u64, operand: &mut IdedExpr, index: &mut IdedExpr) -> Shape {
        if let Expr::Ident(name) = &operand.expr
            && let Some(root) = ROOTS.iter().find(|root| root.name == name)
        {
            let name = root.name;
            return self.flaw(
                id,
                name,
                "its fields are fixed",
                format!("write {name}.{}", root.fields.first().map_or("", |f| f.name)),
            );
        }
        let (whole, at) = (self.visit(operand), self.visit(index));
        match whole {
            Shape::List | Shape::Texts if !at.can_be(Shape::Int) && !at.is_number() => {
                self.flaw(id, "", format!("a list is asked by number, not by {}", at.noun()), "list[0]")
            }
            Shape::Texts => Shape::Text,
            Shape::Any | Shape::List | Shape::Map => Shape::Any,
            other => self.flaw(id, "", format!("{} has nothing inside to name", other.noun()), ""),
        }
    }

    fn binary(&mut self, id: u64, sign: &str, left: &mut IdedExpr, right: &mut IdedExpr) -> Shape {
        let (a, b) = (self.visit(left), self.visit(right));
        match sign {
            "==" | "!=" => self.equality(id, sign, (left, a), (right, b)),
            "in" => self.membership(id, (left, a), (right, b)),
            "<" | "<=" | ">" | ">=" => {
                let ordered = |shape: Shape| shape.can_be(Shape::Text) || shape.can_be(Shape::Bool) || shape.is_number();
                if !a.meets(b) || !ordered(a) || !ordered(b) {
                    return self.clash(id, sign, a, b);
                }
                Shape::Bool
            }
            _ => self.arithmetic(id, sign, a, b),
        }
    }

    fn equality(&mut self, id: u64, sign: &str, left: (&IdedExpr, Shape), right: (&IdedExpr, Shape)) -> Shape {
        if !left.1.meets(right.1) {
            return self.clash(id, sign, left.1, right.1);
        }
        for ((_, shape), (other, _)) in [(left, right), (right, left)] {
            if let (Shape::Word(words), Some(text)) = (shape, literal(other)) {
                self.word(other.id, words, text);
            }
        }
        Shape::Bool
    }

    fn membership(&mut self, id: u64, left: (&IdedExpr, Shape), right: (&IdedExpr, Shape)) -> Shape {
        let Some(item) = right.1.item() else {
            let hint = "text.contains(text) looks inside a text";
            return self.flaw(id, "in", format!("`in` looks into a list or a map, not into {}", right.1.noun()), hint);
        };
        if !left.1.meets(item) {
            return self.clash(id, "in", left.1, right.1);
        }
        if let (Shape::Word(words), Expr::List(list)) = (left.1, &right.0.expr) {
            for element in &list.elements {
                if let Some(text) = literal(element) {
                    self.word(element.id, words, text);
                }
            }
        }
        Shape::Bool
    }

    fn word(&mut self, id: u64, words: &[&str], text: &str) {
        if !words.contains(&text) {
            let hint = nearest(text, words).map_or_else(|| format!("one of: {}", words.join(", ")), did_you_mean);
            self.flaw(id, text, format!("never \"{text}\""), hint);
        }
    }

    fn arithmetic(&mut self, id: u64, sign: &str, a: Shape, b: Shape) -> Shape {
        let fits = |shape: Shape| match sign {
            "+" => shape.is_number() || shape.can_be(Shape::Text) || shape.can_be(Shape::List),
            "%" => shape.can_be(Shape::Int) || shape.can_be(Shape::Uint),
            _ => shape == Shape::Any || shape.is_number(),
        };
        let numbers = a.is_number() && b.is_number();
        if !fits(a) || !fits(b) || !a.meets(b) || (numbers && a != b) {
            return self.clash(id, sign, a, b);
        }
        let shape = if a == Shape::Any { b } else { a.or(if b == Shape::Any { a } else { b }) };
        self.grows |= sign == "+" && !shape.is_number();
        shape
    }

    fn clash(&mut self, id: u64, sign: &str, a: Shape, b: Shape) -> Shape {
        let hint = match (a, b) {
            (Shape::Null, _) | (_, Shape::Null) => "has(principal.tenant) asks whether something is there",
            _ if a.is_number() && b.is_number() => "write 2.0 for 2, or double(x) and int(x)",
            _ => "int(x), double(x) and string(x) turn one into the other",
        };
        self.flaw(id, sign, format!("`{sign}` between {} and {} can never hold", a.noun(), b.noun()), hint)
    }

    fn function(&mut self, id: u64, call: &mut CallExpr) -> Shape {
        let name = call.func_name.clone();
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
            let (message, hint) = if MACROS.contains(&name.as_str()) {
                let usage = if name == "has" { "has(args.path)".to_owned() } else { format!("list.{name}(x, ..)") };
                (format!("`{name}` is not called like this"), usage)
            } else {
                let known: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).chain(MACROS.iter().copied()).collect();
                let hint = nearest(&name, &known).map_or_else(|| format!("known here: {}", known.join(", ")), did_you_mean);
                (format!("unknown function `{name}`"), hint)
            };
            return self.flaw(id, &name, message, hint);
        };
        let style = if call.target.is_some() { function.member } else { function.global };
        if !style {
            return self.flaw(id, &name, format!("`{name}` is not called like this"), function.usage);
        }
        let given = call.args.len() + usize::from(call.target.is_some());
        let fits = match function.rest {
            Rest::Nothing => given == 1,
            Rest::Text | Rest::Literal(_) => given == 2,
            Rest::Literals(_) => given >= 2,
        };
        if !fits {
            return self.flaw(id, &name, format!("`{name}` does not take {given} of them"), function.usage);
        }
        self.arguments(id, function, call);
        function.result
    }

    fn arguments(&mut self, id: u64, function: &'static Function, call: &mut CallExpr) {
        // Ours are looked up as plain functions only.
        if function.global
            && let Some(target) = call.target.take()
        {
            call.args.insert(0, *target);
        }
        let subject = match &mut call.target {
            Some(target) => Some(&mut **target),
            None => call.args.first_mut(),
        };
        if let Some(subject) = subject {
            let shape = self.visit(subject);
            if !function.first.iter().any(|want| shape.can_be(*want)) {
                self.flaw(id, function.name, format!("`{}` does not take {}", function.name, shape.noun()), function.usage);
            }
        }
        match function.rest {
            Rest::Nothing => {}
            Rest::Text => {
                for arg in &mut call.args {
                    let shape = self.visit(arg);
                    if !shape.can_be(Shape::Text) {
                        let message = format!("`{}` takes a text, not {}", function.name, shape.noun());
                        self.flaw(arg.id, function.name, message, function.usage);
                    }
                }
            }
            Rest::Literal(compile) | Rest::Literals(compile) => {
                let patterns = call.args.split_off(1);
                call.args.extend(self.constant(id, function, compile, &patterns));
            }
        }
    }

    /// The identifier of what `patterns` compile to.
    fn constant(
        &mut self,
        id: u64,
        function: &Function,
        compile: fn(&[&str]) -> Result<Constant, String>,
        patterns: &[IdedExpr],
    ) -> Option<IdedExpr> {
        let mut texts = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let Some(text) = literal(pattern) else {
                let message = format!("`{}` takes its pattern as a text in quotes", function.name);
                self.flaw(pattern.id, "", message, function.usage);
                return None;
            };
            texts.push(text);
        }
        match compile(&texts) {
            Ok(constant) => {
                let name = format!("@{}", self.constants.len());
                self.constants.push(constant);
                Some(IdedExpr { id, expr: Expr::Ident(name) })
            }
            Err(message) => {
                let first = patterns.first();
                self.flaw(first.map_or(id, |pattern| pattern.id), texts.first().unwrap_or(&""), message, function.usage);
                None
            }
        }
    }
}

fn literal(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// The sign of an operator between two values.
fn sign(name: &str) -> Option<&'static str> {
    Some(match name {
        op::EQUALS => "==",
        op::NOT_EQUALS => "!=",
        op::LESS => "<",
        op::LESS_EQUALS => "<=",
        op::GREATER => ">",
        op::GREATER_EQUALS => ">=",
        op::IN => "in",
        op::ADD => "+",
        op::SUBSTRACT => "-",
        op::MULTIPLY => "*",
        op::DIVIDE => "/",
        op::MODULO => "%",
        _ => return None,
    })
}

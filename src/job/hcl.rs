//! HCL into the tree. The grammar and the spans are `hcl-edit`'s, the evaluation is ours: what a file says by itself becomes a value, a
//! reference to what is known only when the task is placed (`NOMAD_…`, `attr.…`, any root but `var` and `local`) becomes the text `${…}` as it
//! stands in the source, quoted or not. What the file pass cannot do yet becomes a failed value, which is reported where it is needed.
//!
//! `hcl-edit` refuses nesting beyond 64 and operator chains beyond 128, so every recursion here is bounded.

use hcl_edit::expr::{Expression, ObjectKey, Traversal, TraversalOperator};
use hcl_edit::prelude::*;
use hcl_edit::structure::{self, BlockLabel, Structure};
use hcl_edit::template::{Element, Strip, Template};
use serde_json::Number;

use super::hints;
use super::problem::shown;
use super::tree::{Body, Content, Entry, Fault, Key, Kind, Value};

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Body, Fault> {
    match hcl_edit::parser::parse_body(text) {
        Ok(body) => Ok(Reader { text }.body(&body)),
        Err(e) => Err(hints::explain(text, e.location().offset(), e.message())),
    }
}

/// Reads a template that is a string of JSON. Its own offsets are not those of the file, so everything in it stands at `at`.
pub(super) fn template(text: &str, at: usize) -> Value {
    if !text.contains(['$', '%']) {
        return Value::new(at, Kind::Text(text.into()));
    }
    let mut value = match hcl_edit::parser::parse_template(text) {
        Ok(template) => Reader { text }.template(&template, at),
        Err(e) => {
            let message = hints::one_line(e.message());
            Value::new(at, Kind::Failed(vec![Fault::new(at, format!("{}: {message}", shown(text)))]))
        }
    };
    relocate(&mut value, at);
    value
}

fn relocate(value: &mut Value, to: usize) {
    value.at = to;
    match &mut value.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| relocate(item, to)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                key.at = to;
                relocate(value, to);
            }
        }
        Kind::Failed(faults) => faults.iter_mut().for_each(|fault| fault.at = to),
        _ => {}
    }
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn body(&self, body: &structure::Body) -> Body {
        Body { entries: body.iter().map(|s| self.entry(s)).collect() }
    }

    fn entry(&self, structure: &Structure) -> Entry {
        match structure {
            Structure::Attribute(attribute) => {
                let at = start(&attribute.key, 0);
                let content = Content::Attribute(self.value(&attribute.value, at));
                Entry { key: attribute.key.to_string(), at, content }
            }
            Structure::Block(block) => {
                let at = start(&block.ident, 0);
                let label = |label: &BlockLabel| Key { text: label.as_str().into(), at: start(label, at) };
                let labels = block.labels.iter().map(label).collect();
                Entry {
                    key: block.ident.to_string(),
                    at,
                    content: Content::Block { labels, body: self.body(&block.body) },
                }
            }
        }
    }

    fn value(&self, expression: &Expression, near: usize) -> Value {
        let at = start(expression, near);
        let not_yet = |what: &str| Kind::Failed(vec![Fault::not_yet(at, what)]);
        let kind = match expression {
            Expression::Null(_) => Kind::Null,
            Expression::Bool(b) => Kind::Bool(*b.value()),
            Expression::Number(number) => {
                let literal = number.as_repr().map_or("", |r| r);
                Kind::Number { value: json_number(number.value()), octal: octal(literal) }
            }
            Expression::String(text) => Kind::Text(text.value().clone()),
            Expression::StringTemplate(template) => return self.template(template, at),
            Expression::HeredocTemplate(heredoc) => return self.template(&heredoc.template, at),
            Expression::Parenthesis(inner) => return self.value(inner.inner(), at),
            Expression::Array(items) => Kind::List(items.iter().map(|item| self.value(item, at)).collect()),
            Expression::Object(object) => self.object(object, at),
            Expression::Variable(name) => self.reference(name.as_str(), name.as_str(), at),
            Expression::Traversal(traversal) => self.traversal(traversal, at),
            Expression::FuncCall(call) => not_yet(&format!("`{}(…)`: functions are", call.name.name.as_str())),
            Expression::Conditional(_) => not_yet("a conditional (`… ? … : …`) is"),
            Expression::UnaryOp(_) | Expression::BinaryOp(_) => not_yet("calculating in a value is"),
            Expression::ForExpr(_) => not_yet("`for` is"),
        };
        Value::new(at, kind)
    }

    fn object(&self, object: &hcl_edit::expr::Object, at: usize) -> Kind {
        let mut entries = Vec::new();
        let mut faults = Vec::new();
        for (key, value) in object {
            match self.key(key, at) {
                Ok(key) => entries.push((key, self.value(value.expr(), at))),
                Err(more) => faults.extend(more),
            }
        }
        if faults.is_empty() { Kind::Map(entries) } else { Kind::Failed(faults) }
    }

    fn key(&self, key: &ObjectKey, near: usize) -> Result<Key, Vec<Fault>> {
        let at = start(key, near);
        let text = match key {
            ObjectKey::Ident(name) => name.to_string(),
            // An identifier in parentheses is a reference; alone it is the key itself.
            ObjectKey::Expression(Expression::Variable(name)) => name.to_string(),
            ObjectKey::Expression(Expression::Traversal(_)) => {
                return Err(vec![Fault::new(at, "a key with a dot needs quotes: write `\"a.b\" = …`")]);
            }
            ObjectKey::Expression(expression) => self.value(expression, at).text()?,
        };
        Ok(Key { text, at })
    }

    /// A template: the text of its parts. One that is a single `${…}` keeps the type of what is in it.
    fn template(&self, template: &Template, at: usize) -> Value {
        if let Some(Element::Interpolation(only)) = template.as_single_element() {
            return Value::new(at, self.value(&only.expr, at).kind);
        }
        let mut out = String::new();
        let mut faults = Vec::new();
        let mut strip_next = false;
        for element in template {
            match element {
                Element::Literal(literal) if strip_next => out.push_str(literal.trim_start()),
                Element::Literal(literal) => out.push_str(literal),
                Element::Interpolation(part) => {
                    if matches!(part.strip, Strip::Start | Strip::Both) {
                        out.truncate(out.trim_end().len());
                    }
                    match self.value(&part.expr, start(element, at)).text() {
                        Ok(text) => out.push_str(&text),
                        Err(more) => faults.extend(more),
                    }
                }
                Element::Directive(_) => {
                    faults.push(Fault::not_yet(start(element, at), "a template directive (`%{ … }`) is"));
                }
            }
            strip_next = match element {
                Element::Interpolation(part) => matches!(part.strip, Strip::End | Strip::Both),
                _ => false,
            };
        }
        Value::new(at, if faults.is_empty() { Kind::Text(out) } else { Kind::Failed(faults) })
    }

    fn traversal(&self, traversal: &Traversal, at: usize) -> Kind {
        let not_yet = |what: &str| Kind::Failed(vec![Fault::not_yet(at, what)]);
        let Expression::Variable(root) = &traversal.expr else {
            return not_yet("reaching into a value (`[…]`, `.…`) is");
        };
        for operator in &traversal.operators {
            match operator.value() {
                TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_) => {}
                TraversalOperator::Index(Expression::String(_) | Expression::Number(_)) => {}
                TraversalOperator::Index(_) => return not_yet("an index that is not a plain string or number is"),
                TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => {
                    return not_yet("a splat (`*`) is");
                }
            }
        }
        let source = traversal.span().and_then(|span| self.text.get(span)).unwrap_or(root.as_str()).trim();
        self.reference(root.as_str(), source, at)
    }

    fn reference(&self, root: &str, source: &str, at: usize) -> Kind {
        match root {
            "var" | "local" => {
                let what = if root == "var" { "variables are" } else { "locals are" };
                Kind::Failed(vec![Fault::not_yet(at, format!("{}: {what}", shown(source)))])
            }
            _ => Kind::Text(format!("${{{source}}}")),
        }
    }
}

/// Where something starts; `near` where `hcl-edit` does not say.
fn start(spanned: &impl Span, near: usize) -> usize {
    spanned.span().map_or(near, |span| span.start)
}

fn json_number(number: &hcl_edit::Number) -> Number {
    let whole = number.as_u64().map(Number::from).or_else(|| number.as_i64().map(Number::from));
    // HCL has no infinity, so the last step never falls back.
    whole.or_else(|| number.as_f64().and_then(Number::from_f64)).unwrap_or_else(|| Number::from(0))
}

/// What a literal with a leading zero is in octal.
fn octal(literal: &str) -> Option<u64> {
    let digits = literal.strip_prefix('0').filter(|d| !d.is_empty())?;
    u64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of `x = …`.
    fn value(source: &str) -> Value {
        let text = format!("x = {source}\n");
        let mut body = read(&text).unwrap_or_else(|e| panic!("{source}: {e:?}"));
        match body.entries.pop().map(|e| e.content) {
            Some(Content::Attribute(value)) => value,
            _ => panic!("{source} gives no attribute"),
        }
    }

    #[test]
    fn file_pass() {
        // source -> the text that the runtime pass gets
        for (source, want) in [
            (r#""plain""#, "plain"),
            (r#""a\n\t\"b\" \\ é""#, "a\n\t\"b\" \\ é"),
            (r#""${NOMAD_PORT_http}""#, "${NOMAD_PORT_http}"),
            (r#""x-${NOMAD_JOB_NAME}-y""#, "x-${NOMAD_JOB_NAME}-y"),
            ("attr.cpu.arch", "${attr.cpu.arch}"),
            ("NOMAD_TASK_DIR", "${NOMAD_TASK_DIR}"),
            (r#"env["HOME"]"#, r#"${env["HOME"]}"#),
            (r#""${env["HOME"]}/x""#, r#"${env["HOME"]}/x"#),
            (r#""${ meta.owner }""#, "${meta.owner}"),
            (
                r#""${node.unique.name} ${attr.unique.network.ip-address}""#,
                "${node.unique.name} ${attr.unique.network.ip-address}",
            ),
            (r#""$${NOMAD_TASK_DIR}""#, "${NOMAD_TASK_DIR}"),
            (r#""$$${NOMAD_TASK_DIR}""#, "$${NOMAD_TASK_DIR}"),
            (r#""%%{ if }""#, "%{ if }"),
            (r#""$5 and 5%""#, "$5 and 5%"),
            (r#""a ${~ meta.x ~} b""#, "a${meta.x}b"),
            (r#""${"lit"}-${5}-${true}""#, "lit-5-true"),
            ("(\"paren\")", "paren"),
            ("<<EOF\n  two\n lines ${meta.x}\nEOF", "  two\n lines ${meta.x}\n"),
            ("<<-EOF\n    two\n      lines\n    EOF", "two\n  lines\n"),
            ("<<EOF\nEOF", ""),
        ] {
            let value = value(source);
            assert_eq!(value.text().as_deref(), Ok(want), "{source}");
        }
    }

    #[test]
    fn not_built_yet() {
        for (source, want) in [
            ("var.image", "`var.image`: variables are not supported yet"),
            ("\"a-${var.tag}\"", "`var.tag`: variables are not supported yet"),
            ("local.x", "`local.x`: locals are not supported yet"),
            ("file(\"x\")", "`file(…)`: functions are not supported yet"),
            ("\"${upper(\"x\")}\"", "`upper(…)`: functions are not supported yet"),
            ("true ? 1 : 2", "a conditional (`… ? … : …`) is not supported yet"),
            ("1 + 2", "calculating in a value is not supported yet"),
            ("!true", "calculating in a value is not supported yet"),
            ("[for x in [1] : x]", "`for` is not supported yet"),
            ("{for k in [1] : k => k}", "`for` is not supported yet"),
            ("meta.x[*]", "a splat (`*`) is not supported yet"),
            ("meta.*.x", "a splat (`*`) is not supported yet"),
            ("[1][0]", "reaching into a value (`[…]`, `.…`) is not supported yet"),
            ("env[upper(\"x\")]", "an index that is not a plain string or number is not supported yet"),
            ("\"%{ if true }x%{ endif }\"", "a template directive (`%{ … }`) is not supported yet"),
            ("{ a.b = 1 }", "a key with a dot needs quotes: write `\"a.b\" = …`"),
        ] {
            match value(source).kind {
                Kind::Failed(faults) => {
                    assert_eq!(faults.iter().map(|f| f.message.as_str()).collect::<Vec<_>>(), [want], "{source}");
                    assert_eq!(faults[0].not_yet, want.ends_with("not supported yet"), "{source}");
                }
                other => panic!("{source} gives {other:?}"),
            }
        }
    }

    #[test]
    fn templates_of_json() {
        for (text, want) in [
            ("plain \"q\" \\n", Ok("plain \"q\" \\n")),
            ("a ${NOMAD_X} $${y}", Ok("a ${NOMAD_X} ${y}")),
            ("${env[\"X\"]}", Ok("${env[\"X\"]}")),
            ("${5}", Ok("5")),
            ("", Ok("")),
            ("${var.x}", Err("`var.x`: variables are not supported yet")),
            ("x ${[var.x][0]}", Err("reaching into a value (`[…]`, `.…`) is not supported yet")),
            ("50% $5", Ok("50% $5")),
        ] {
            let got = template(text, 9).text();
            let want = want.map(String::from).map_err(|e| vec![Fault { at: 9, message: e.into(), not_yet: true }]);
            assert_eq!(got, want, "{text:?}");
        }
        let broken = template("x ${FOO:-x}", 9).text().expect_err("no template");
        assert_eq!((broken[0].at, broken[0].not_yet), (9, false), "{broken:?}");
    }

    #[test]
    fn numbers() {
        for (source, want) in [
            ("5", ("5", None)),
            ("-5", ("-5", None)),
            ("- 5", ("-5", None)),
            ("1.50", ("1.5", None)),
            ("1e3", ("1000", None)),
            ("022", ("22", Some(18))),
            ("0777", ("777", Some(511))),
            ("08", ("8", None)),
            ("0", ("0", None)),
            ("18446744073709551615", ("18446744073709551615", None)),
            ("\"${7}\"", ("7", None)),
        ] {
            match value(source).kind {
                Kind::Number { value, octal } => assert_eq!((value.to_string().as_str(), octal), want, "{source}"),
                other => panic!("{source} gives {other:?}"),
            }
        }
    }

    #[test]
    fn places() {
        let text = "job \"a\" {\n  x = [1,\n    2]\n  e {\n    k = { \"q\" = 1 }\n  }\n  one { z = 3 }\n}\n";
        let body = read(text).expect("it is HCL");
        let Content::Block { labels, body } = &body.entries[0].content else { panic!("no block") };
        assert_eq!(labels[0].at, text.find("\"a\"").expect("label"));
        let at: Vec<usize> = body.entries.iter().map(|e| e.at).collect();
        let want = ["x =", "e {", "one"].map(|t| text.find(t).expect("there"));
        assert_eq!(at, want);
        let Content::Attribute(Value { kind: Kind::List(items), .. }) = &body.entries[0].content else { panic!() };
        assert_eq!(
            items.iter().map(|i| i.at).collect::<Vec<_>>(),
            [text.find("1,").expect("1"), text.find("2]").expect("2")]
        );
        let Content::Block { body: e, .. } = &body.entries[1].content else { panic!() };
        let Content::Attribute(Value { kind: Kind::Map(map), .. }) = &e.entries[0].content else { panic!() };
        assert_eq!(map[0].0.at, text.find("\"q\"").expect("key"));
        let Content::Block { body: one, .. } = &body.entries[2].content else { panic!() };
        assert_eq!(one.entries[0].at, text.find("z =").expect("one-line attribute"));
    }
}

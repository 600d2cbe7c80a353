//! Values that a claim is compared with.

use std::fmt;

use crate::token::json::Value;

/// A value that a policy compares a claim with: a string, a number or a boolean.
///
/// A number equals a number, never its text: `1` equals `1.0`, and not `"1"`.
#[derive(Clone, PartialEq)]
pub struct ClaimValue(pub(super) Scalar);

#[derive(Clone, PartialEq)]
pub(super) enum Scalar {
    Text(Box<str>),
    Integer(i128),
    Double(f64),
    Bool(bool),
}

impl ClaimValue {
    /// Whether the claim is equal to this value. `None` if the claim has another type.
    pub(super) fn is(&self, claim: &Value<'_>) -> Option<bool> {
        match (&self.0, claim) {
            (Scalar::Text(own), Value::String(text)) => Some(**own == **text),
            (Scalar::Bool(own), Value::Bool(value)) => Some(own == value),
            (Scalar::Integer(own), Value::Unsigned(number)) => Some(*own == i128::from(*number)),
            (Scalar::Integer(own), Value::Signed(number)) => Some(*own == i128::from(*number)),
            (Scalar::Double(own), Value::Unsigned(number)) => {
                Some(is_double(i128::from(*number), *own))
            }
            (Scalar::Double(own), Value::Signed(number)) => {
                Some(is_double(i128::from(*number), *own))
            }
            (Scalar::Integer(own), Value::Float(number)) => Some(is_double(*own, *number)),
            (Scalar::Double(own), Value::Float(number)) => Some(own == number),
            _ => None,
        }
    }
}

/// Whether the two numbers are equal, without rounding the integer. A double beyond the range of `i128`
/// becomes the limit of `i128`, which no 64-bit integer equals.
fn is_double(integer: i128, double: f64) -> bool {
    double.fract() == 0.0 && double as i128 == integer
}

impl fmt::Debug for ClaimValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Scalar::Text(text) => fmt::Debug::fmt(text, f),
            Scalar::Integer(number) => fmt::Display::fmt(number, f),
            Scalar::Double(number) => fmt::Display::fmt(number, f),
            Scalar::Bool(value) => fmt::Display::fmt(value, f),
        }
    }
}

impl From<&str> for ClaimValue {
    fn from(text: &str) -> Self {
        Self(Scalar::Text(text.into()))
    }
}

impl From<String> for ClaimValue {
    fn from(text: String) -> Self {
        Self(Scalar::Text(text.into()))
    }
}

impl From<&String> for ClaimValue {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<bool> for ClaimValue {
    fn from(value: bool) -> Self {
        Self(Scalar::Bool(value))
    }
}

impl From<f64> for ClaimValue {
    fn from(number: f64) -> Self {
        Self(Scalar::Double(number))
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {
        $(impl From<$integer> for ClaimValue {
            fn from(number: $integer) -> Self {
                Self(Scalar::Integer(number.into()))
            }
        })*
    };
}

integers!(i32, i64, u32, u64);

//! The service that most layers create. To read the source, start here: [`ResourceServerService::call`].

use std::fmt;
use std::mem;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::layer::future::ResponseFuture;
use crate::layer::gate::{Gate, Judgement};
use crate::rejection::{EmptyBody, RefusalBody};
use crate::token::Claims;

/// A protected service.
pub struct ResourceServerService<S, C = Claims, R = EmptyBody> {
    inner: S,
    gate: Gate<C, R>,
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for ResourceServerService<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    C: Send + Sync + 'static,
    R: RefusalBody<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, R, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let judgement = if self.gate.reads_request() {
            let (mut head, body) = request.into_parts();
            let judgement = self.gate.judge(&mut head);
            request = Request::from_parts(head, body);
            judgement
        } else {
            self.gate.judge(&mut request)
        };
        match judgement {
            Judgement::Pass(headers) => {
                let server = self.gate.server().clone();
                ResponseFuture::inner(self.inner.call(request), headers, server)
            }
            Judgement::Refuse(refusal) => {
                self.give_back();
                ResponseFuture::refused(refusal.into_response_with(self.gate.server().body()))
            }
            Judgement::Wait(waiting) => {
                self.give_back();
                let unready = self.inner.clone();
                ResponseFuture::waiting(unready, request, waiting, self.gate.clone())
            }
        }
    }
}

impl<S, C, R> ResourceServerService<S, C, R> {
    pub(crate) fn new(inner: S, gate: Gate<C, R>) -> Self {
        Self { inner, gate }
    }
}

impl<S: Clone, C, R> ResourceServerService<S, C, R> {
    /// Drops the ready service, and keeps an unpolled clone. A ready service may hold a concurrency
    /// permit. A refused or waiting request does not need a permit.
    pub(crate) fn give_back(&mut self) {
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
    }
}

impl<S: Clone, C, R> Clone for ResourceServerService<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: self.gate.clone() }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for ResourceServerService<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceServerService")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish()
    }
}

//! The settings of a profile for roles.

use std::borrow::Cow;

use crate::profile::Profile;
use crate::profile::roles::RolePlace;
use crate::token::json::JsonPointer;

impl Profile {
    /// Removes all places from which roles are read. [`roles_claim`](Self::roles_claim) and the other
    /// methods for roles then add places.
    ///
    /// Without this setting, [`role`](crate::policy::role) reads the claims `roles`, `groups` and
    /// `entitlements` (RFC 9068 §2.2.3.1).
    pub fn without_roles(mut self) -> Self {
        self.roles.clear();
        self
    }

    /// Also reads roles from the claim `name`: an array of strings, or one string for one role. An
    /// element may also be a SCIM object with the role as its `value` (RFC 7643 §4.1.2). The roles from
    /// all places are combined.
    ///
    /// A string is never split. But a string with a space, `,`, `;` or `|` may be a list that the
    /// server joined. So `not(role(..))` refuses a token with such a string.
    ///
    /// If `name` contains `{audience}`, this text stands for each audience that is configured for
    /// the issuer. See [`role_names_claim`](Self::role_names_claim).
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// let profile = Profile::jwt().without_roles().roles_claim("permissions");
    /// # let _ = profile;
    /// ```
    pub fn roles_claim(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.role_place("roles_claim", name.into(), false)
    }

    /// Also reads roles from the value that a JSON pointer (RFC 6901) names, in the same forms as
    /// [`roles_claim`](Self::roles_claim).
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// // A custom claim of Ory Hydra.
    /// let profile = Profile::jwt().without_roles().roles_at("/ext/roles");
    /// # let _ = profile;
    /// ```
    pub fn roles_at(mut self, pointer: &str) -> Self {
        match JsonPointer::parse(pointer) {
            Ok(found) => self.roles.push(RolePlace::pointer(found)),
            Err(problem) => {
                self.role_problems
                    .push(format!("roles_at `{}`: {problem}", pointer.escape_debug()));
            }
        }
        self
    }

    /// Also reads the roles of one client of Keycloak: `resource_access.<client_id>.roles`. The id
    /// is compared exactly, and may contain any character, such as the slashes of a URL.
    ///
    /// Pass the id of the client that stands for this API in Keycloak. A role of a client and a role
    /// of the realm count as the same role if they have the same name. To read only the roles of the
    /// client, call [`without_roles`](Self::without_roles) first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use serde_json::json;
    /// use tower_resource_server::policy::role;
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{ResourceServer, providers};
    ///
    /// let issuer = TestIssuer::in_process("https://sso.example.com/realms/demo");
    /// let keycloak = providers::keycloak(issuer.url())
    ///     .map_profile(|profile| profile.client_roles("notes-api"))
    ///     .jwks(issuer.jwks());
    /// let api =
    ///     ResourceServer::builder().issuer(keycloak).audience("https://api.example.com").build()?;
    ///
    /// let access = json!({ "notes-api": { "roles": ["editor"] }, "shop": { "roles": ["owner"] } });
    /// let token = issuer.token_for(&api).claim("resource_access", access).sign();
    /// let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
    /// let (head, ()) = request.body(())?.into_parts();
    /// let token = api.authenticate(&head).await.unwrap().token;
    /// assert!(token.require(&role("editor").into()).is_ok());
    /// // The role of another client.
    /// assert!(token.require(&role("owner").into()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_roles(mut self, client_id: &str) -> Self {
        if client_id.is_empty() {
            self.role_problems.push("client_roles ``: must not be empty".to_owned());
        } else {
            let at = JsonPointer::of(["resource_access", client_id, "roles"]);
            self.roles.push(RolePlace::pointer(at));
        }
        self
    }

    /// Also reads roles from the claim `name`, an object whose member names are the roles (Zitadel).
    /// The values of the members are not read.
    ///
    /// If `name` contains `{audience}`, this text stands for each audience that is configured for
    /// the issuer. This is for a server that writes one claim for each API. Only the roles of this
    /// API are read.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// // Zitadel: the id of the API's project is the audience.
    /// let profile = Profile::jwt()
    ///     .without_roles()
    ///     .role_names_claim("urn:zitadel:iam:org:project:{audience}:roles");
    /// # let _ = profile;
    /// ```
    pub fn role_names_claim(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.role_place("role_names_claim", name.into(), true)
    }

    fn role_place(mut self, setting: &str, name: Cow<'static, str>, are_names: bool) -> Self {
        if name.is_empty() {
            self.role_problems.push(format!("{setting} ``: must not be empty"));
            return self;
        }
        self.roles.push(RolePlace::claim(name, are_names));
        self
    }
}

# LemonLDAP::NG's portal as an OpenID Connect provider, for plackup. Sessions and configuration are in
# the folder $INTEROP_FOLDER, keys in key.pem and public.pem there. $INTEROP_ISSUER is its own address.

use strict;
use warnings;
use JSON;
use Lemonldap::NG::Portal::Main;

# The portal loads a captcha in any case, and its own one needs a graphics library.
BEGIN {
    package Lemonldap::NG::Portal::Captcha::None;
    use Mouse;
    extends 'Lemonldap::NG::Portal::Main::Plugin';
    sub init { 1 }
    $INC{'Lemonldap/NG/Portal/Captcha/None.pm'} = __FILE__;
}

my ( $folder, $issuer ) = @ENV{qw(INTEROP_FOLDER INTEROP_ISSUER)};
my $mine  = 'https://api.example.com';
my $other = 'https://other.example.com';

sub slurp {
    open( my $file, '<', shift ) or die $!;
    local $/;
    return scalar <$file>;
}

mkdir "$folder/$_" or die "$folder/$_: $!" for qw(conf sessions locks persistent cache);

sub storage {
    return {
        Directory      => "$folder/$_[0]",
        LockDirectory  => "$folder/locks",
        generateModule => 'Lemonldap::NG::Common::Apache::Session::Generate::SHA256',
    };
}

# A client, by its name: whether it gets JWTs, for which APIs, and for how long.
sub client {
    my ( $name, $secret, $jwt, $audiences, $seconds ) = @_;
    return (
        $name => {
            oidcRPMetaDataOptionsClientID                    => $name,
            oidcRPMetaDataOptionsClientSecret                => $secret,
            oidcRPMetaDataOptionsAccessTokenJWT              => $jwt,
            oidcRPMetaDataOptionsAccessTokenSignAlg          => 'RS256',
            oidcRPMetaDataOptionsIDTokenSignAlg              => 'RS256',
            oidcRPMetaDataOptionsAccessTokenExpiration       => $seconds,
            oidcRPMetaDataOptionsAdditionalAudiences         => $audiences,
            oidcRPMetaDataOptionsAllowClientCredentialsGrant => 1,
            oidcRPMetaDataOptionsAllowPasswordGrant          => 1,
        }
    );
}

my %clients = (
    client( 'app',     'app-secret',            1, $mine,          600 ),
    client( 'foreign', 'app-secret',            1, $other,         600 ),
    client( 'short',   'app-secret',            1, $mine,          1 ),
    client( 'opaque',  'app-secret',            0, $mine,          600 ),
    client( 'api',     'api-secret',            0, '',             600 ),
    client( 'encoded', $ENV{API_CLIENT_SECRET}, 0, '',             600 ),
    client( 'sign',    's3cr%t&x',              0, '',             600 ),
);

my $config = {
    cfgNum                          => 1,
    cfgDate                         => time,
    key                             => 'of this run alone',
    cfgVersion                      => '2.16.1',
    portal                          => "$issuer/",
    domain                          => 'example.com',
    authentication                  => 'Demo',
    userDB                          => 'Same',
    passwordDB                      => 'Demo',
    registerDB                      => 'Null',
    exportedVars                    => {},
    demoExportedVars                => { cn => 'cn', mail => 'mail', uid => 'uid' },
    macros                          => { _whatToTrace => '$_user' },
    whatToTrace                     => '_whatToTrace',
    locationRules                   => {},
    exportedHeaders                 => {},
    globalStorage                   => 'Apache::Session::File',
    globalStorageOptions            => storage('sessions'),
    persistentStorage               => 'Apache::Session::File',
    persistentStorageOptions        => storage('persistent'),
    localSessionStorage             => 'Cache::NullCache',
    localSessionStorageOptions      => {},
    timeout                         => 72000,
    requireToken                    => 0,
    captcha                         => '::Captcha::None',
    portalDisplayRegister           => 0,
    portalDisplayResetPassword      => 0,
    issuerDBOpenIDConnectActivation => 1,
    issuerDBOpenIDConnectRule       => 1,
    issuerDBOpenIDConnectPath       => '^/oauth2/',
    oidcServiceMetaDataIssuer       => $issuer,
    oidcServicePrivateKeySig        => slurp("$folder/key.pem"),
    oidcServicePublicKeySig         => slurp("$folder/public.pem"),
    oidcServiceKeyIdSig             => 'interop',
    oidcRPMetaDataOptions           => \%clients,
    oidcRPMetaDataExportedVars      => { map { $_ => { email => 'mail' } } keys %clients },
};
open( my $file, '>', "$folder/conf/lmConf-1.json" ) or die $!;
print $file encode_json($config);
close $file or die $!;

# No file of the system's own decides anything.
open( my $ini, '>', "$folder/lemonldap-ng.ini" ) or die $!;
print $ini <<"END";
[all]
logLevel = notice
checkTime = 3600
[configuration]
type = File
dirName = $folder/conf
localStorage = Cache::FileCache
localStorageOptions = { namespace => 'config', cache_root => '$folder/cache', default_expires_in => 3600 }
[portal]
staticPrefix = /static
templateDir = /usr/share/lemonldap-ng/portal/templates
languages = en
END
close $ini or die $!;
$ENV{LLNG_DEFAULTCONFFILE} = "$folder/lemonldap-ng.ini";

Lemonldap::NG::Portal::Main->run( {} );

using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Llama3Cluster.Actors.Security;

/// <summary>What the files of a <see cref="TlsIdentity"/> held when they were read: checked, so that no handshake can fail for it.</summary>
internal sealed class TlsMaterial
{
    private readonly X509Certificate2Collection _authorities;

    private TlsMaterial(X509Certificate2Collection authorities, X509Certificate2 certificate, SslStreamCertificateContext context)
    {
        _authorities = authorities;
        Certificate = certificate;
        Context = context;
    }

    /// <summary>The node's certificate.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>The certificate with its key and intermediates, as handshakes use it.</summary>
    public SslStreamCertificateContext Context { get; }

    /// <summary>Reads and checks the files.</summary>
    /// <exception cref="TlsFilesException">They cannot be read, do not belong together, or are not valid at the time.</exception>
    public static TlsMaterial Load(TlsFiles files, DateTimeOffset now)
    {
        X509Certificate2Collection authorities = Read(files.Authority, () => Import(files.Authority));
        if (authorities.FirstOrDefault(authority => !IsAuthority(authority)) is { } leaf)
            throw new TlsFilesException($"{files.Authority}: \"{leaf.Subject}\" is not a certificate authority; give the authority's certificate, not a node's");
        X509Certificate2Collection chain = Read(files.Certificate, () => Import(files.Certificate));
        X509Certificate2 certificate = Read(files.Key, () => WithKey(files));
        RequireValid(files.Certificate, certificate, now);
        chain.RemoveAt(0);

        var context = SslStreamCertificateContext.Create(certificate, chain, offline: true);
        var material = new TlsMaterial(authorities, certificate, context);
        material.RequireOwnChain(files, chain, now);
        return material;
    }

    /// <summary>How the certificate of a peer is checked: its chain must end in the cluster's authority, whatever the system trusts.</summary>
    public X509ChainPolicy NewChainPolicy()
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck, // a private authority publishes no list: who must go gets a new authority
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(_authorities);
        return policy;
    }

    private static X509Certificate2Collection Import(string path)
    {
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPemFile(path);
        return certificates.Count > 0 ? certificates : throw new TlsFilesException($"{path} has no certificate in PEM form");
    }

    private static X509Certificate2 WithKey(TlsFiles files)
    {
        var certificate = X509Certificate2.CreateFromPemFile(files.Certificate, files.Key);
        if (!OperatingSystem.IsWindows())
            return certificate;
        using (certificate) // Windows' handshakes take no keys that were only ever in memory
            return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }

    private static T Read<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new TlsFilesException($"{path} cannot be read: {error.Message}", error);
        }
        catch (Exception error) when (error is CryptographicException or ArgumentException)
        {
            throw new TlsFilesException($"{path} cannot be used: {error.Message}", error);
        }
    }

    private static bool IsAuthority(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509BasicConstraintsExtension>().Any(constraints => constraints.CertificateAuthority);

    private static void RequireValid(string path, X509Certificate2 certificate, DateTimeOffset now)
    {
        DateTime from = certificate.NotBefore.ToUniversalTime(), until = certificate.NotAfter.ToUniversalTime();
        if (now.UtcDateTime > until)
            throw new TlsFilesException($"the certificate in {path} expired at {until:u}; make a new one with \"llama3cluster certs\"");
        if (now.UtcDateTime < from)
            throw new TlsFilesException($"the certificate in {path} is valid from {from:u} on, and it is {now:u} here; set the clock");
    }

    private void RequireOwnChain(TlsFiles files, X509Certificate2Collection intermediates, DateTimeOffset now)
    {
        using var chain = new X509Chain { ChainPolicy = NewChainPolicy() };
        chain.ChainPolicy.ExtraStore.AddRange(intermediates);
        chain.ChainPolicy.VerificationTime = now.LocalDateTime;
        if (!chain.Build(Certificate))
            throw new TlsFilesException($"{files.Certificate} was not issued by the authority in {files.Authority}, or that has expired: {PeerCheck.Describe(chain)}");
    }
}

using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Llama3Cluster.Actors.Security;

/// <summary>Makes a private certificate authority and the certificates of a cluster's nodes: ECDSA on P-256, signed with SHA-256.</summary>
public static class CertificateAuthority
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <summary>Makes an authority with a name of its own.</summary>
    /// <returns>The certificate with its key.</returns>
    public static X509Certificate2 Create(DateTimeOffset from, DateTimeOffset until)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = Request($"llama3cluster CA {Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}", key);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request.CreateSelfSigned(from, until);
    }

    /// <summary>Makes a node's certificate, for both ends of connections.</summary>
    /// <param name="authority">The authority, with its key.</param>
    /// <param name="names">Names and IP addresses under which other nodes dial this one; the first is its name for people.</param>
    /// <param name="from">First moment of its validity.</param>
    /// <param name="until">Last moment of its validity; the authority's own if that is earlier.</param>
    /// <returns>The certificate with its key.</returns>
    /// <exception cref="ArgumentException">There is no name, or one that is no host name and no address.</exception>
    public static X509Certificate2 Issue(X509Certificate2 authority, IReadOnlyList<string> names, DateTimeOffset from, DateTimeOffset until)
    {
        if (names.Count == 0)
            throw new ArgumentException("a node's certificate needs a host name or an IP address", nameof(names));
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = Request(names[0], key);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerAuthentication), new Oid(ClientAuthentication)], critical: false));
        request.CertificateExtensions.Add(SubjectNames(names));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, includeKeyIdentifier: true, includeIssuerAndSerial: false));

        byte[] serial = RandomNumberGenerator.GetBytes(16);
        serial[0] &= 0x7f; // a positive number
        DateTimeOffset last = authority.NotAfter;
        using X509Certificate2 certificate = request.Create(authority, from, until < last ? until : last, serial);
        return certificate.CopyWithPrivateKey(key);
    }

    private static CertificateRequest Request(string name, ECDsa key)
    {
        var subject = new X500DistinguishedNameBuilder();
        subject.AddCommonName(name.Length <= 64 ? name : name[..64]); // the standard's limit; the whole name is among the alternative ones
        return new CertificateRequest(subject.Build(), key, HashAlgorithmName.SHA256);
    }

    private static X509Extension SubjectNames(IReadOnlyList<string> names)
    {
        var builder = new SubjectAlternativeNameBuilder();
        foreach (string name in names)
        {
            if (IPAddress.TryParse(name, out IPAddress? address))
                builder.AddIpAddress(address);
            else if (Uri.CheckHostName(name) == UriHostNameType.Dns)
                builder.AddDnsName(name);
            else
                throw new ArgumentException($"\"{name}\" is neither a host name nor an IP address", nameof(names));
        }

        return builder.Build();
    }
}

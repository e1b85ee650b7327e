using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Gateway.Cli;

namespace Llama3Cluster.Gateway.Local;

/// <summary>
/// A folder with a certificate authority and a folder for each node: <c>ca.crt</c>, <c>ca.key</c>, and below the node's first name
/// <c>ca.crt</c>, <c>node.crt</c>, <c>node.key</c>. Keys can be read by their owner only.
/// </summary>
internal sealed class CertificateFolder
{
    /// <summary>Name of the authority's key in the folder.</summary>
    public const string AuthorityKeyName = "ca.key";

    private static readonly TimeSpan ClockSkew = TimeSpan.FromHours(1); // nodes' clocks differ

    private readonly string _folder;

    private CertificateFolder(string folder, X509Certificate2 authority, bool isNew)
    {
        _folder = folder;
        Authority = authority;
        IsNew = isNew;
    }

    /// <summary>The authority, with its key.</summary>
    public X509Certificate2 Authority { get; }

    /// <summary>Whether the authority was made just now.</summary>
    public bool IsNew { get; }

    /// <summary>Opens a folder, and makes it and the authority if there is none.</summary>
    /// <exception cref="UsageException">There is half an authority, or one that is not usable any more.</exception>
    public static CertificateFolder Open(string folder, DateTimeOffset now, int days)
    {
        string certificate = Path.Combine(folder, TlsFiles.AuthorityName), key = Path.Combine(folder, AuthorityKeyName);
        (bool hasCertificate, bool hasKey) = (File.Exists(certificate), File.Exists(key));
        if (hasCertificate != hasKey)
            throw new UsageException($"{folder} has {(hasCertificate ? TlsFiles.AuthorityName : AuthorityKeyName)} but not {(hasCertificate ? AuthorityKeyName : TlsFiles.AuthorityName)}: certificates are made where the whole authority is; for a new one, name an empty folder");
        if (hasCertificate)
        {
            X509Certificate2 present = Load(certificate, key);
            return present.NotAfter.ToUniversalTime() > now.UtcDateTime
                ? new CertificateFolder(folder, present, isNew: false)
                : throw new UsageException($"the authority in {folder} expired at {present.NotAfter:u}: make a new one in an empty folder, and new certificates for all nodes");
        }

        MakePrivate(folder);
        X509Certificate2 authority = CertificateAuthority.Create(now - ClockSkew, now.AddDays(days));
        Write(key, KeyOf(authority), isSecret: true);
        Write(certificate, authority.ExportCertificatePem(), isSecret: false);
        return new CertificateFolder(folder, authority, isNew: true);
    }

    /// <summary>Makes a node's certificate, in place of an earlier one.</summary>
    /// <returns>The node's folder.</returns>
    /// <exception cref="ArgumentException">A name is no host name and no address.</exception>
    public string Issue(IReadOnlyList<string> names, DateTimeOffset now, int days)
    {
        using X509Certificate2 certificate = CertificateAuthority.Issue(Authority, names, now - ClockSkew, now.AddDays(days));
        string node = Path.Combine(_folder, names[0].Replace(':', '_')); // an IPv6 address is no name of a folder everywhere
        MakePrivate(node);
        TlsFiles files = TlsFiles.In(node);
        Write(files.Authority, Authority.ExportCertificatePem(), isSecret: false);
        Write(files.Key, KeyOf(certificate), isSecret: true);
        Write(files.Certificate, certificate.ExportCertificatePem(), isSecret: false);
        return node;
    }

    private static X509Certificate2 Load(string certificate, string key)
    {
        try
        {
            return X509Certificate2.CreateFromPemFile(certificate, key);
        }
        catch (CryptographicException error)
        {
            throw new UsageException($"the authority in {Path.GetDirectoryName(certificate)} cannot be used: {error.Message}");
        }
    }

    private static string KeyOf(X509Certificate2 certificate)
    {
        using ECDsa key = certificate.GetECDsaPrivateKey()!;
        return key.ExportPkcs8PrivateKeyPem();
    }

    private static void MakePrivate(string folder)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(folder); // inherits its parent's rights
        else
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    // Under a temporary name first, so that a node never reads half a file.
    private static void Write(string path, string pem, bool isSecret)
    {
        string partial = $"{path}.{Guid.NewGuid():N}.partial";
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            UnixFileMode readable = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            options.UnixCreateMode = isSecret ? readable : readable | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        }

        using (var writer = new StreamWriter(partial, options))
            writer.Write(pem + "\n");
        File.Move(partial, path, overwrite: true);
    }
}

using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Actors.Tests.Security;

/// <summary>An authority, and a folder for the files of the nodes that it makes.</summary>
internal sealed class TestAuthority : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("llama3cluster-test-");
    private readonly X509Certificate2 _certificate = CertificateAuthority.Create(Start, Start.AddDays(3650));
    private int _nodes;

    /// <summary>When its certificates begin to be valid, unless a test says otherwise.</summary>
    public static DateTimeOffset Start { get; } = DateTimeOffset.UtcNow.AddDays(-1);

    /// <summary>A certificate with its key, for peers that are no nodes.</summary>
    public X509Certificate2 Issue(params string[] names) => CertificateAuthority.Issue(_certificate, names, Start, Start.AddDays(365));

    /// <summary>A node that others may dial at 127.0.0.1.</summary>
    public TlsIdentity Node() => TlsIdentity.Load(Files("127.0.0.1"));

    /// <summary>A node that others may dial under the names.</summary>
    public TlsIdentity Node(params string[] names) => TlsIdentity.Load(Files(names));

    /// <summary>The files of a node.</summary>
    public TlsFiles Files(params string[] names) => Files(Start, Start.AddDays(365), names);

    /// <summary>The files of a node, with another validity.</summary>
    public TlsFiles Files(DateTimeOffset from, DateTimeOffset until, params string[] names)
    {
        string folder = Path.Combine(_folder.FullName, $"{_nodes++}");
        Directory.CreateDirectory(folder);
        TlsFiles files = TlsFiles.In(folder);
        using X509Certificate2 node = CertificateAuthority.Issue(_certificate, names, from, until);
        Write(files, node);
        return files;
    }

    /// <summary>Puts another certificate of this authority in the place of a node's.</summary>
    public void Replace(TlsFiles files, params string[] names)
    {
        using X509Certificate2 node = CertificateAuthority.Issue(_certificate, names, Start, Start.AddDays(365));
        Write(files, node);
    }

    public void Dispose()
    {
        _certificate.Dispose();
        _folder.Delete(recursive: true);
    }

    private void Write(TlsFiles files, X509Certificate2 node)
    {
        File.WriteAllText(files.Authority, _certificate.ExportCertificatePem());
        File.WriteAllText(files.Certificate, node.ExportCertificatePem());
        using ECDsa key = node.GetECDsaPrivateKey()!;
        File.WriteAllText(files.Key, key.ExportPkcs8PrivateKeyPem());
    }
}

namespace Llama3Cluster.Actors.Security;

/// <summary>The files, in PEM form, by which a node proves that it belongs to a cluster.</summary>
/// <param name="Authority">Certificates of the cluster's own certificate authority.</param>
/// <param name="Certificate">The node's certificate, then intermediate ones if there are any.</param>
/// <param name="Key">The private key of the node's certificate.</param>
public sealed record TlsFiles(string Authority, string Certificate, string Key)
{
    /// <summary>Name of the authority's certificate in a folder.</summary>
    public const string AuthorityName = "ca.crt";

    /// <summary>Name of the node's certificate in a folder.</summary>
    public const string CertificateName = "node.crt";

    /// <summary>Name of the node's key in a folder.</summary>
    public const string KeyName = "node.key";

    /// <summary>The files under their usual names in a folder.</summary>
    public static TlsFiles In(string folder) =>
        new(Path.Combine(folder, AuthorityName), Path.Combine(folder, CertificateName), Path.Combine(folder, KeyName));
}

/// <summary>Certificates that cannot be used; the message says which, why, and what to do.</summary>
public sealed class TlsFilesException : Exception
{
    /// <summary>Creates the exception.</summary>
    public TlsFilesException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception around the error that the platform reported.</summary>
    public TlsFilesException(string message, Exception inner)
        : base(message, inner)
    {
    }
}

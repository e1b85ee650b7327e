using System.CommandLine;
using Llama3Cluster.Actors.Security;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>The options by which a node finds its certificates.</summary>
internal sealed class TlsOptions
{
    public Option<string?> Folder { get; } = Opt.OptionalText(
        "--tls",
        $"Mutual TLS between nodes: a folder with {TlsFiles.AuthorityName}, {TlsFiles.CertificateName} and {TlsFiles.KeyName}, as \"llama3cluster certs\" makes them. All nodes need certificates of one authority.",
        "DIR");

    public Option<string?> Authority { get; } = Opt.OptionalText("--tls-ca", "Instead of --tls: the authority's certificate (PEM).", "FILE");

    public Option<string?> Certificate { get; } = Opt.OptionalText("--tls-cert", "Instead of --tls: this node's certificate (PEM).", "FILE");

    public Option<string?> Key { get; } = Opt.OptionalText("--tls-key", "Instead of --tls: the private key of this node's certificate (PEM).", "FILE");

    public void AddTo(Command command)
    {
        command.Add(Folder);
        command.Add(Authority);
        command.Add(Certificate);
        command.Add(Key);
    }

    /// <summary>The node's certificates, read and checked; null if it has none.</summary>
    /// <exception cref="UsageException">Some files are named and others are not.</exception>
    /// <exception cref="TlsFilesException">The files cannot be used.</exception>
    public TlsIdentity? Read(ParseResult result)
    {
        string? folder = result.GetValue(Folder);
        (string Option, string? Value)[] files =
            [("--tls-ca", result.GetValue(Authority)), ("--tls-cert", result.GetValue(Certificate)), ("--tls-key", result.GetValue(Key))];
        string[] given = [.. files.Where(file => file.Value is not null).Select(file => file.Option)];
        if (folder is not null && given.Length > 0)
            throw new UsageException($"--tls names all three files and {string.Join(", ", given)} names some of them again; give one or the other");
        if (folder is not null)
            return TlsIdentity.Load(TlsFiles.In(folder));
        return given.Length switch
        {
            0 => null,
            3 => TlsIdentity.Load(new TlsFiles(files[0].Value!, files[1].Value!, files[2].Value!)),
            _ => throw new UsageException(
                $"TLS needs --tls-ca, --tls-cert and --tls-key; {string.Join(" and ", files.Select(file => file.Option).Except(given))} is missing. Or give a folder with all three as --tls DIR."),
        };
    }
}

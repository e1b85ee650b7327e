using System.CommandLine;
using Llama3Cluster.Gateway.Local;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>certs</c>: makes the certificates of a cluster.</summary>
internal static class CertsCommand
{
    private const int AuthorityDays = 3650;

    public static Command Create()
    {
        Option<string?> output = Opt.OptionalText("--out", "Folder of the authority and of a folder for each node. Made if it is missing; an authority in it is used again.", "DIR");
        output.Required = true;
        Option<string[]> hosts = Opt.Repeated(
            "--host", "A node: the names and addresses, separated by commas, under which the others dial it; repeat it for more nodes. Default: localhost,127.0.0.1,::1.", "NAME,IP");
        Option<int> days = Opt.Number("--days", 365, 1, AuthorityDays, "How long the nodes' certificates are valid.");
        var command = new Command("certs", $"""
            Make a private certificate authority and certificates for a cluster's nodes, for mutual TLS between them.
              llama3cluster certs --out certs                                    for a cluster on this machine
              llama3cluster certs --out certs --host alpha.lan,10.0.0.5 --host 10.0.0.6
            Copy each node's folder (certs/alpha.lan, certs/10.0.0.6) to its machine and start the node with --tls FOLDER.
            Run it again with the same --out to add nodes, or to replace certificates before they expire: running nodes
            take them up. Whoever has {CertificateFolder.AuthorityKeyName} can let nodes into the cluster: keep it off the nodes.
            """) { output, hosts, days };
        command.SetAction(result =>
        {
            string folder = result.GetValue(output)!;
            DateTimeOffset now = DateTimeOffset.UtcNow;
            var certificates = CertificateFolder.Open(folder, now, AuthorityDays);
            Console.WriteLine($"authority {(certificates.IsNew ? "made" : "used again")}: {Path.Combine(folder, Actors.Security.TlsFiles.AuthorityName)}, valid until {certificates.Authority.NotAfter:yyyy-MM-dd}");
            string[] nodes = result.GetValue(hosts)! is { Length: > 0 } given ? given : ["localhost,127.0.0.1,::1"];
            foreach (string node in nodes)
            {
                string[] names = node.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
                string made = certificates.Issue(names, now, result.GetValue(days));
                Console.WriteLine($"node {string.Join(", ", names)}: start it with --tls {made}");
            }

            return 0;
        });
        return command;
    }
}

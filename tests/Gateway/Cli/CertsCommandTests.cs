using System.CommandLine;
using Llama3Cluster.Actors.Security;
using Llama3Cluster.Gateway.Cli;

namespace Llama3Cluster.Gateway.Tests.Cli;

public sealed class CertsCommandTests : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"llama3cluster-test-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Without_hosts_it_must_make_an_authority_and_a_node_on_this_machine()
    {
        Run("--out", _folder);

        var identity = TlsIdentity.Load(TlsFiles.In(Path.Combine(_folder, "localhost")));
        Assert.Equal(["localhost", "127.0.0.1", "::1"], identity.Names);
        Assert.InRange(identity.ExpiresAt - DateTimeOffset.UtcNow, TimeSpan.FromDays(364), TimeSpan.FromDays(365));
        if (OperatingSystem.IsWindows())
            return;
        foreach (string key in (string[])[Path.Combine(_folder, "ca.key"), Path.Combine(_folder, "localhost", "node.key")])
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(key));
    }

    [Fact]
    public void Running_it_again_must_add_nodes_to_the_same_authority()
    {
        Run("--out", _folder, "--host", "alpha.lan,10.0.0.5");
        string authority = File.ReadAllText(Path.Combine(_folder, "ca.crt"));

        Run("--out", _folder, "--host", "beta.lan", "--host", "fe80::1", "--days", "3");

        Assert.Equal(authority, File.ReadAllText(Path.Combine(_folder, "ca.crt")));
        Assert.Equal(authority, File.ReadAllText(Path.Combine(_folder, "beta.lan", "ca.crt")));
        var beta = TlsIdentity.Load(TlsFiles.In(Path.Combine(_folder, "beta.lan")));
        Assert.InRange(beta.ExpiresAt - DateTimeOffset.UtcNow, TimeSpan.FromDays(2), TimeSpan.FromDays(3));
        Assert.True(TlsIdentity.Load(TlsFiles.In(Path.Combine(_folder, "alpha.lan"))).Bears("10.0.0.5"));
        Assert.True(TlsIdentity.Load(TlsFiles.In(Path.Combine(_folder, "fe80__1"))).Bears("fe80::1"));
    }

    [Fact]
    public void Running_it_again_for_a_node_must_renew_its_certificate()
    {
        Run("--out", _folder, "--host", "alpha.lan");
        string before = File.ReadAllText(Path.Combine(_folder, "alpha.lan", "node.crt"));

        Run("--out", _folder, "--host", "alpha.lan,10.0.0.7");

        Assert.NotEqual(before, File.ReadAllText(Path.Combine(_folder, "alpha.lan", "node.crt")));
        Assert.True(TlsIdentity.Load(TlsFiles.In(Path.Combine(_folder, "alpha.lan"))).Bears("10.0.0.7"));
        Assert.Empty(Directory.GetFiles(_folder, "*.partial", SearchOption.AllDirectories));
    }

    [Fact]
    public void Half_an_authority_must_be_refused()
    {
        Run("--out", _folder);
        File.Delete(Path.Combine(_folder, "ca.key"));

        Assert.Contains("not ca.key", Assert.Throws<UsageException>(() => Run("--out", _folder)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../elsewhere")]
    [InlineData("a b")]
    [InlineData("..")]
    public void What_is_no_host_must_be_refused_before_anything_is_written_for_it(string host)
    {
        Assert.Throws<ArgumentException>(() => Run("--out", _folder, "--host", host));

        Assert.Empty(Directory.GetDirectories(_folder));
    }

    private static void Run(params string[] arguments) =>
        Assert.Equal(0, CertsCommand.Create().Parse(arguments).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, Output = TextWriter.Null }));
}

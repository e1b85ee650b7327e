using Llama3Cluster.Actors.Gateways;

namespace Llama3Cluster.Actors.Tests.Gateways;

public sealed class PrefixDirectoryTests
{
    [Fact]
    public void The_replica_with_the_longest_common_prefix_must_be_found()
    {
        var directory = new PrefixDirectory(100);
        int[] prompt = [.. Enumerable.Range(0, 64)];
        directory.Note(prompt.AsSpan(0, 32).ToArray(), "short");
        directory.Note([.. prompt[..48], .. Enumerable.Repeat(9, 16)], "long");

        Assert.Equal(("long", 3), directory.Find(prompt));
        Assert.Null(directory.Find([7, .. prompt]));
        Assert.Null(directory.Find(prompt[..15]));
    }

    [Fact]
    public void The_oldest_prefixes_must_make_room()
    {
        var directory = new PrefixDirectory(4);
        for (int i = 0; i < 10; i++)
            directory.Note([.. Enumerable.Repeat(i, 32)], $"replica-{i}");

        Assert.Null(directory.Find([.. Enumerable.Repeat(0, 32)]));
        Assert.Equal(("replica-9", 2), directory.Find([.. Enumerable.Repeat(9, 32)]));
    }
}

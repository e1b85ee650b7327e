using System.Runtime.InteropServices;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>
/// Keeps the C library from holding memory that nobody uses. What a process compresses (the cluster's gossip, several times a second:
/// 350 KB of working memory each) and compiles (a megabyte and more for a large method) takes memory from <c>malloc</c> on whichever
/// thread it runs. glibc gives threads heaps of their own, up to eight a core, and keeps what is freed in the middle of one: a node that
/// computes in a steady state, and allocates nothing itself, grew from 200 to 260 MB within an hour.
/// </summary>
internal static partial class NativeHeap
{
    private const string Glibc = "libc.so.6";

    // Few threads take memory at the same time, and none on a path that matters.
    private const int HeapCount = 4, HeapCountOption = -8;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Has all threads share few heaps, and gives unused memory back now and then until it is disposed; null where the C library is
    /// another. To be called before the program's threads start, for heaps that are there remain.
    /// </summary>
    public static IDisposable? KeepSmall()
    {
        if (!OperatingSystem.IsLinux() || !NativeLibrary.TryLoad(Glibc, out nint library) || !NativeLibrary.TryGetExport(library, "malloc_trim", out _))
            return null;
        _ = SetOption(HeapCountOption, HeapCount);
        return new Timer(state => _ = Trim(0), null, Interval, Interval);
    }

    [LibraryImport(Glibc, EntryPoint = "mallopt")]
    private static partial int SetOption(int option, int value);

    [LibraryImport(Glibc, EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint keep);
}

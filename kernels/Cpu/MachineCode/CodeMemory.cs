using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>
/// Pages that hold machine code until the process ends. They are written before they are made executable, never both at a time, as
/// hardened systems demand; such as allow neither say so.
/// </summary>
internal static unsafe partial class CodeMemory
{
    private const int Read = 1, Write = 2, Execute = 4, Private = 2, Anonymous = 0x20;

    private static readonly nint Failed = -1;

    /// <summary>Keeps code where the processor may run it.</summary>
    /// <exception cref="InsufficientMemoryException">There is no memory for it.</exception>
    public static void* Keep(ReadOnlySpan<byte> code)
    {
        void* kept = TryKeep(code);
        return kept != null ? kept : throw new InsufficientMemoryException($"the system gave no memory for {code.Length} bytes of code");
    }

    /// <summary>Keeps code where the processor may run it.</summary>
    /// <returns>Where the code begins, or null if the system lets nobody run what was written.</returns>
    public static void* TryKeep(ReadOnlySpan<byte> code)
    {
        nint pages = Map(0, (nuint)code.Length, Read | Write, Private | Anonymous, -1, 0);
        if (pages == Failed)
            return null;
        code.CopyTo(new Span<byte>((void*)pages, code.Length));
        if (Protect(pages, (nuint)code.Length, Read | Execute) == 0)
            return (void*)pages;
        _ = Unmap(pages, (nuint)code.Length);
        return null;
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(nint at, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(nint at, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint at, nuint length);
}

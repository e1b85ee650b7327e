namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>What an operand names.</summary>
internal enum PtxOperandKind
{
    Register,
    Immediate,
    Special,
    Vector,
    Memory,
    Symbol,
    Label,
}

/// <summary>An operand of an instruction.</summary>
/// <param name="Kind">What it names.</param>
/// <param name="Value">Number of a register; bits of an immediate; offset of a memory operand; address of a shared symbol.</param>
/// <param name="Name">Its text, for special registers, labels, parameters.</param>
/// <param name="Parts">Elements of a vector; the base of a memory operand.</param>
internal sealed record PtxOperand(PtxOperandKind Kind, ulong Value, string Name, PtxOperand[] Parts);

/// <summary>An instruction as the emulator runs it.</summary>
internal sealed class PtxInstruction
{
    /// <summary>The instruction without its predicate, dot by dot: <c>ld.global.v4.u32</c> is ld, global, v4, u32.</summary>
    public required string[] Words { get; init; }

    public required string Text { get; init; }

    public required PtxOperand[] Operands { get; init; }

    /// <summary>Number of the predicate register that guards it, or -1.</summary>
    public int Guard { get; init; } = -1;

    /// <summary>Whether it runs where the predicate is false.</summary>
    public bool GuardNegated { get; init; }

    /// <summary>Where a branch goes.</summary>
    public int Target { get; set; } = -1;

    /// <summary>The type, from the last word that is one.</summary>
    public required PtxType Type { get; init; }

    public string Opcode => Words[0];

    public bool Has(string word) => Array.IndexOf(Words, word) > 0;
}

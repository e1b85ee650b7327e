using System.Buffers.Binary;

namespace Llama3Cluster.Kernels.Cpu.MachineCode;

/// <summary>A general register that the tiles use, by its number. Those whose encoding as a base is irregular are left out.</summary>
internal enum Gp : byte
{
    Rax = 0,
    Rcx = 1,
    Rdx = 2,
    Rsi = 6,
    Rdi = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
    R11 = 11,
}

/// <summary>One of the 32 vector registers of 512 bits.</summary>
internal readonly record struct Zmm(int Number);

/// <summary>Memory so many bytes beyond a register.</summary>
internal readonly record struct Address(Gp Base, int Offset);

/// <summary>
/// Writes machine code for x86-64: the few instructions that the tiles need, most of them AVX-512 in its EVEX encoding, as Intel's
/// <i>Software Developer's Manual</i>, volume 2, gives them (prefix: section 2.7; each instruction: its page).
/// </summary>
internal sealed class Assembler
{
    private const int VectorBytes = 64;

    private readonly List<byte> _code = [];

    // Which opcodes an instruction's opcode belongs to, and its mandatory prefix, as the EVEX prefix states them.
    private enum Map : byte
    {
        Of0F = 1,
        Of0F38 = 2,
        Of0F3A = 3,
    }

    private enum Prefix : byte
    {
        None = 0,
        Of66 = 1,
    }

    /// <summary>What was written so far.</summary>
    public byte[] ToArray() => [.. _code];

    /// <summary>The place that the next instruction takes, to jump back to.</summary>
    public int Here => _code.Count;

    /// <summary>VPDPBUSD: sum += the products of four unsigned bytes a lane with the same four signed bytes for all lanes.</summary>
    public void DotBytes(Zmm sum, Zmm unsigned, Address signed) => Broadcast(Map.Of0F38, Prefix.Of66, 0x50, sum, unsigned, signed);

    /// <summary>VPDPBUSD between registers.</summary>
    public void DotBytes(Zmm sum, Zmm unsigned, Zmm signed) => Registers(Map.Of0F38, Prefix.Of66, 0x50, sum, unsigned, signed);

    /// <summary>VPDPWSSD: sum += the products of two signed words a lane with the same two words for all lanes.</summary>
    public void DotWords(Zmm sum, Zmm words, Address others) => Broadcast(Map.Of0F38, Prefix.Of66, 0x52, sum, words, others);

    /// <summary>VPDPWSSD between registers.</summary>
    public void DotWords(Zmm sum, Zmm words, Zmm others) => Registers(Map.Of0F38, Prefix.Of66, 0x52, sum, words, others);

    /// <summary>VFMADD231PS: sum += a b, with one number for all lanes.</summary>
    public void MultiplyAdd(Zmm sum, Zmm a, Address b) => Broadcast(Map.Of0F38, Prefix.Of66, 0xB8, sum, a, b);

    /// <summary>VFMADD231PS: sum += a b.</summary>
    public void MultiplyAdd(Zmm sum, Zmm a, Zmm b) => Registers(Map.Of0F38, Prefix.Of66, 0xB8, sum, a, b);

    /// <summary>VMULPS with one number for all lanes.</summary>
    public void Multiply(Zmm to, Zmm a, Address b) => Broadcast(Map.Of0F, Prefix.None, 0x59, to, a, b);

    /// <summary>VMULPS.</summary>
    public void Multiply(Zmm to, Zmm a, Zmm b) => Registers(Map.Of0F, Prefix.None, 0x59, to, a, b);

    /// <summary>VPADDD.</summary>
    public void AddIntegers(Zmm to, Zmm a, Zmm b) => Registers(Map.Of0F, Prefix.Of66, 0xFE, to, a, b);

    /// <summary>VPANDD.</summary>
    public void And(Zmm to, Zmm a, Zmm b) => Registers(Map.Of0F, Prefix.Of66, 0xDB, to, a, b);

    /// <summary>VPTERNLOGD: to |= a and b.</summary>
    public void OrAnd(Zmm to, Zmm a, Zmm b)
    {
        Registers(Map.Of0F3A, Prefix.Of66, 0x25, to, a, b);
        _code.Add(0xF8);
    }

    /// <summary>VPXORD of a register with itself.</summary>
    public void Zero(Zmm to) => Registers(Map.Of0F, Prefix.Of66, 0xEF, to, to, to);

    /// <summary>VCVTDQ2PS.</summary>
    public void IntegersToFloat(Zmm to, Zmm from) => Registers(Map.Of0F, Prefix.None, 0x5B, to, default, from);

    /// <summary>VPSLLD.</summary>
    public void ShiftLeft(Zmm to, Zmm from, int bits) => Shift(0x72, 6, to, from, bits);

    /// <summary>VPSLLW.</summary>
    public void ShiftWordsLeft(Zmm to, Zmm from, int bits) => Shift(0x71, 6, to, from, bits);

    /// <summary>VPSRLW.</summary>
    public void ShiftWordsRight(Zmm to, Zmm from, int bits) => Shift(0x71, 2, to, from, bits);

    /// <summary>VPSLLW, or VPSRLW if there are fewer bits than none.</summary>
    public void ShiftWords(Zmm to, Zmm from, int bitsLeft)
    {
        if (bitsLeft >= 0)
            ShiftWordsLeft(to, from, bitsLeft);
        else
            ShiftWordsRight(to, from, -bitsLeft);
    }

    /// <summary>VPSRAW: a shift that copies the sign.</summary>
    public void ShiftSignedWordsRight(Zmm to, Zmm from, int bits) => Shift(0x71, 4, to, from, bits);

    /// <summary>VMOVUPS from memory.</summary>
    public void Load(Zmm to, Address from) => Memory(Map.Of0F, Prefix.None, 0x10, to, default, from, VectorBytes);

    /// <summary>VMOVUPS to memory.</summary>
    public void Store(Address to, Zmm from) => Memory(Map.Of0F, Prefix.None, 0x11, from, default, to, VectorBytes);

    /// <summary>VCVTPH2PS: 16 half-precision numbers, widened.</summary>
    public void LoadHalf(Zmm to, Address from) => Memory(Map.Of0F38, Prefix.Of66, 0x13, to, default, from, VectorBytes / 2);

    /// <summary>VPMOVZXWD: 16 words as 32-bit numbers.</summary>
    public void LoadWords(Zmm to, Address from) => Memory(Map.Of0F38, Prefix.Of66, 0x33, to, default, from, VectorBytes / 2);

    /// <summary>VPMOVZXBD: 16 unsigned bytes as 32-bit numbers.</summary>
    public void LoadBytes(Zmm to, Address from) => Memory(Map.Of0F38, Prefix.Of66, 0x31, to, default, from, VectorBytes / 4);

    /// <summary>VPMOVSXBD: 16 signed bytes as 32-bit numbers.</summary>
    public void LoadSignedBytes(Zmm to, Address from) => Memory(Map.Of0F38, Prefix.Of66, 0x21, to, default, from, VectorBytes / 4);

    /// <summary>VBROADCASTSS: one number for all lanes.</summary>
    public void Splat(Zmm to, Address from) => Memory(Map.Of0F38, Prefix.Of66, 0x18, to, default, from, sizeof(float));

    /// <summary>MOV and VPBROADCASTD: the same 32 bits in all lanes, through a general register that loses what it held.</summary>
    public void Splat(Zmm to, uint bits, Gp through)
    {
        Set(through, bits);
        Evex(Map.Of0F38, Prefix.Of66, to, default, (int)through, broadcasts: false);
        _code.Add(0x7C);
        _code.Add((byte)(0xC0 | ((to.Number & 7) << 3) | ((int)through & 7)));
    }

    /// <summary>PREFETCHT1: as near as the second-level cache.</summary>
    public void Prefetch(Address at)
    {
        if ((int)at.Base >= 8)
            _code.Add(0x41);
        _code.Add(0x0F);
        _code.Add(0x18);
        Operand(2, at, 1);
    }

    /// <summary>MOV of a constant; the upper half of the register becomes zero.</summary>
    public void Set(Gp to, uint value)
    {
        if ((int)to >= 8)
            _code.Add(0x41);
        _code.Add((byte)(0xB8 | ((int)to & 7)));
        Four((int)value);
    }

    /// <summary>LEA.</summary>
    public void SetAddress(Gp to, Address address)
    {
        _code.Add((byte)(0x48 | ((int)to >= 8 ? 4 : 0) | ((int)address.Base >= 8 ? 1 : 0)));
        _code.Add(0x8D);
        Operand((int)to, address, 1);
    }

    /// <summary>ADD of a constant.</summary>
    public void Add(Gp to, int value) => Arithmetic(0, to, value);

    /// <summary>SUB of a constant, to jump by.</summary>
    public void Subtract(Gp from, int value) => Arithmetic(5, from, value);

    /// <summary>ADD.</summary>
    public void Add(Gp to, Gp value) => General([0x01], value, to);

    /// <summary>CMP and CMOVL: to = min(to, other), both signed.</summary>
    public void Least(Gp to, Gp other)
    {
        General([0x39], to, other);
        General([0x0F, 0x4C], to, other);
    }

    /// <summary>TEST of a register with itself, to jump by.</summary>
    public void Test(Gp value) => General([0x85], value, value);

    /// <summary>JG to a place before: on while the last result was greater than zero.</summary>
    public void JumpBackIfGreater(int place)
    {
        _code.Add(0x0F);
        _code.Add(0x8F);
        Four(place - (_code.Count + sizeof(int)));
    }

    /// <summary>JZ to a place yet to come, which <see cref="Land"/> fixes.</summary>
    public int JumpIfZero()
    {
        _code.Add(0x0F);
        _code.Add(0x84);
        Four(0);
        return _code.Count;
    }

    /// <summary>JMP to a place yet to come, which <see cref="Land"/> fixes.</summary>
    public int Jump()
    {
        _code.Add(0xE9);
        Four(0);
        return _code.Count;
    }

    /// <summary>The place that a jump was meant for.</summary>
    public void Land(int jump)
    {
        Span<byte> distance = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(distance, _code.Count - jump);
        for (int i = 0; i < distance.Length; i++)
            _code[jump - distance.Length + i] = distance[i];
    }

    /// <summary>VZEROUPPER and RET: whoever comes next may use older vector instructions at their full speed.</summary>
    public void Return() => _code.AddRange([0xC5, 0xF8, 0x77, 0xC3]);

    private void Shift(byte opcode, int extension, Zmm to, Zmm from, int bits)
    {
        Registers(Map.Of0F, Prefix.Of66, opcode, new Zmm(extension), to, from);
        _code.Add((byte)bits);
    }

    private void Registers(Map map, Prefix prefix, byte opcode, Zmm reg, Zmm vvvv, Zmm rm)
    {
        Evex(map, prefix, reg, vvvv, rm.Number, broadcasts: false);
        _code.Add(opcode);
        _code.Add((byte)(0xC0 | ((reg.Number & 7) << 3) | (rm.Number & 7)));
    }

    private void Broadcast(Map map, Prefix prefix, byte opcode, Zmm reg, Zmm vvvv, Address rm)
    {
        Evex(map, prefix, reg, vvvv, (int)rm.Base, broadcasts: true);
        _code.Add(opcode);
        Operand(reg.Number, rm, sizeof(float));
    }

    private void Memory(Map map, Prefix prefix, byte opcode, Zmm reg, Zmm vvvv, Address rm, int bytes)
    {
        Evex(map, prefix, reg, vvvv, (int)rm.Base, broadcasts: false);
        _code.Add(opcode);
        Operand(reg.Number, rm, bytes);
    }

    // All three payload bytes: bits of register numbers are inverted; vectors have 512 bits; elements 32; no lane is masked.
    private void Evex(Map map, Prefix prefix, Zmm reg, Zmm vvvv, int rm, bool broadcasts)
    {
        const int Vectors512 = 2 << 5;
        int r = ~reg.Number, v = ~vvvv.Number, x = ~rm;
        _code.Add(0x62);
        _code.Add((byte)(((r & 8) << 4) | ((x & 16) << 2) | ((x & 8) << 2) | (r & 16) | (int)map));
        _code.Add((byte)(((v & 15) << 3) | 4 | (int)prefix));
        _code.Add((byte)(Vectors512 | (broadcasts ? 16 : 0) | ((v & 16) >> 1)));
    }

    // An address with a displacement of one byte, which counts in operands, if that can express it; else of four.
    private void Operand(int reg, Address address, int bytes)
    {
        int scaled = address.Offset / bytes, fields = ((reg & 7) << 3) | ((int)address.Base & 7);
        if (scaled * bytes == address.Offset && scaled == (sbyte)scaled)
        {
            _code.Add((byte)(0x40 | fields));
            _code.Add((byte)scaled);
        }
        else
        {
            _code.Add((byte)(0x80 | fields));
            Four(address.Offset);
        }
    }

    private void Arithmetic(int extension, Gp to, int value)
    {
        _code.Add((byte)(0x48 | ((int)to >= 8 ? 1 : 0)));
        _code.Add(0x81);
        _code.Add((byte)(0xC0 | (extension << 3) | ((int)to & 7)));
        Four(value);
    }

    private void General(ReadOnlySpan<byte> opcode, Gp reg, Gp rm)
    {
        _code.Add((byte)(0x48 | ((int)reg >= 8 ? 4 : 0) | ((int)rm >= 8 ? 1 : 0)));
        _code.AddRange(opcode);
        _code.Add((byte)(0xC0 | (((int)reg & 7) << 3) | ((int)rm & 7)));
    }

    private void Four(int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        _code.AddRange(bytes);
    }
}
